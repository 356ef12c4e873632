"""Column types used by several apps."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.query_utils import DeferredAttribute

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


class Sealed(str):
    """A secret as it is stored: encrypted."""

    __slots__ = ()


class _Opened(DeferredAttribute):
    """Decrypts a secret when it is asked for: what has nothing to do with it goes on if it cannot be read."""

    field: "SecretField"

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed):
            value = reveal(value)
            self.__set__(instance, value)
        return value

    def __set__(self, instance: models.Model | None, value: Any) -> None:
        vars(instance)[self.field.attname] = value


class SecretField(models.TextField):  # type: ignore[type-arg]
    """Text that is encrypted at rest with the first of `FIELD_KEYS` and read with any of them; '' stays ''.

    `values`, `values_list` and forms have it as it is stored. The attribute raises ImproperlyConfigured when it cannot
    be read; until it is asked for or set, it is saved as it was.
    """

    descriptor_class = _Opened

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return Sealed(value) if value else value

    def value_from_object(self, obj: models.Model) -> Any:
        return vars(obj).get(self.attname)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.value_from_object(model_instance)
        return value if isinstance(value, Sealed) else super().pre_save(model_instance, add)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Sealed):
            return str(value)
        return _cipher().encrypt(value.encode()).decode() if value else value


def reveal(stored: str) -> str:
    """Decrypt a secret as it is stored. Raises ImproperlyConfigured when none of `FIELD_KEYS` can."""
    try:
        return _cipher().decrypt(stored.encode()).decode() if stored else stored
    except InvalidToken as error:
        raise ImproperlyConfigured("a stored secret cannot be read with the keys in FIELD_KEYS") from error


def encrypted_anew(stored: str) -> Sealed | None:
    """Return a stored secret as the first of `FIELD_KEYS` encrypts it, None when it did so already.

    Raises ImproperlyConfigured when none of the keys can read it.
    """
    try:
        Fernet(settings.FIELD_KEYS[0]).decrypt(stored.encode())
    except InvalidToken:
        return Sealed(_cipher().encrypt(reveal(stored).encode()).decode())
    return None


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])
