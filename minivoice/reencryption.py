"""Secrets at rest, encrypted anew: afterwards the first of `FIELD_KEYS` reads them all."""

from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from minivoice import fields

BATCH = 500


class Batch(NamedTuple):
    """What became of some rows of one column: how many were written anew, and the keys of those none of ours reads."""

    column: str
    written: int
    unreadable: list[int]


def reencrypt() -> Iterator[Batch]:
    """Encrypt every secret of every table with the first of `FIELD_KEYS`, a batch at a time; tell of each batch.

    Rows change one by one, so that it may be stopped and begun again, beside everything else: one that was given
    another secret meanwhile keeps that. What the first key reads already is left as it is.
    """
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:  # noqa: SLF001  Django's documented way to a model's columns
            if isinstance(field, fields.SecretField):
                yield from _column(model, field.attname)


def _column(model: type[models.Model], name: str) -> Iterator[Batch]:
    every = model._base_manager.exclude(**{name: ""}).order_by("pk")  # noqa: SLF001
    after = 0
    while rows := list(every.filter(pk__gt=after).values_list("pk", name)[:BATCH]):
        written, unreadable = 0, []
        for pk, stored in rows:
            try:
                anew = fields.encrypted_anew(stored)
            except ImproperlyConfigured:
                unreadable.append(pk)
                continue
            if anew is not None:
                written += every.filter(pk=pk, **{name: stored}).update(**{name: anew})
        yield Batch(f"{model._meta.label}.{name}", written, unreadable)  # noqa: SLF001
        after = rows[-1][0]
