"""Tables as what looks through all of them sees them: their texts, whose rows they are, their keys in ranges."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import F, Func, Model, QuerySet, Value
from django.db.models.functions import Cast
from django.db.models.options import Options

from applications.models import Customer

Columns = tuple[str, ...]
BATCH = 2000

_WAYS_TO_CUSTOMER = ("customer", "application__customer", "call__customer", "event__application__customer")
_TEXTS = (models.CharField, models.TextField, models.JSONField, ArrayField)


def name(model: type[Model]) -> str:
    """Return what people call a table."""
    return str(_meta(model).verbose_name_plural)


def rows(model: type[Model], *, customer: Customer | None) -> QuerySet[Any]:
    """Return the rows of a customer, or of all; a customer has none in what is about staff."""
    if customer is None:
        return QuerySet(model)
    if model in (Customer, Customer.history.model):
        return QuerySet(model).filter(id=customer.pk)
    ways = [way for way in _WAYS_TO_CUSTOMER if _refers(model, way.partition("__")[0])]
    return QuerySet(model).filter(**{ways[0]: customer}) if ways else QuerySet(model).none()


def histories() -> list[tuple[type[Model], Columns]]:
    """Return the tables that keep what rows were before, with all their texts."""
    return [(model, texts(model)) for model in apps.get_models() if hasattr(model, "history_date")]


def texts(model: type[Model]) -> Columns:
    """Return the columns of a table that hold text of any kind, but for words that we choose, and ids."""
    fields = _meta(model).concrete_fields
    return tuple(each.name for each in fields if isinstance(each, _TEXTS) and not each.choices and not each.unique)


def as_text(model: type[Model], columns: Columns) -> Any:
    """Return columns as one text that the database can search, each on a line of its own."""
    texts = [
        Func(F(column), Value("UTF8"), function="convert_from", output_field=models.TextField())
        if isinstance(_meta(model).get_field(column), models.BinaryField)
        else Cast(column, models.TextField())
        for column in columns
    ]
    return Func(Value("\n"), *texts, function="concat_ws", output_field=models.TextField())


def ranges(model: type[Model]) -> Iterator[tuple[int, int, int]]:
    """Yield ranges of a table's keys, of some thousand rows each, and how much has been read behind each in percent."""
    keys: Any = QuerySet(model).order_by("pk").values_list("pk", flat=True)
    end, last = keys.last(), 0
    while end is not None and last < end:
        behind = keys.filter(pk__gt=last)
        first, last = last, next(iter(behind[BATCH - 1 : BATCH]), end)
        yield first, last, last * 100 // end


def _refers(model: type[Model], column: str) -> bool:
    try:
        return _meta(model).get_field(column).is_relation
    except FieldDoesNotExist:
        return False


def _meta(model: type[Model]) -> "Options[Any]":
    return model._meta  # noqa: SLF001  public in all but name
