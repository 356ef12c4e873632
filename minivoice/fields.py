"""Column types used by several apps."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from minivoice import clock, ids


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An amount of money: `numeric(18,6)`."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_digits", 18)
        options.setdefault("decimal_places", 6)
        super().__init__(**options)


class PublicIdField(models.CharField):  # type: ignore[type-arg]
    """A unique public id with this prefix, given when the row is first saved without one."""

    def __init__(self, prefix: str = "", **options: Any) -> None:
        self.prefix = prefix
        options |= {"max_length": 48, "unique": True, "editable": False}
        super().__init__(**options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        for fixed in ("max_length", "unique", "editable"):
            options.pop(fixed, None)
        return name, path, args, {**options, "prefix": self.prefix}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        value: str = getattr(model_instance, self.attname)
        if add and not value:
            value = ids.new(self.prefix, clock.now())
            setattr(model_instance, self.attname, value)
        return value


class SecretField(models.TextField):  # type: ignore[type-arg]
    """Text that is encrypted at rest with the first of `FIELD_KEYS` and read with any of them; '' stays ''."""

    def get_prep_value(self, value: Any) -> Any:
        return _cipher().encrypt(value.encode()).decode() if value else value

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if not value:
            return value
        try:
            return _cipher().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise ImproperlyConfigured("a stored secret cannot be read with the keys in FIELD_KEYS") from error


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])
