"""API keys: made, shown once, and recognised again by their digest."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from django.db import connection
from django.db.models import Model

from applications.models import ApiKey, Application, Customer
from minivoice.fields import SecretField

PREFIX = "mv_live_"
_SHOWN_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the key's application and its customer."""

    key_id: int
    scopes: Sequence[str]
    application: Application
    customer: Customer


def issue(*, application: Application, scopes: Sequence[str], issued_with: int | None = None) -> tuple[ApiKey, str]:
    """Make a key of `application` with `scopes`; return its row and the text, which is kept nowhere.

    `issued_with` is the id of the key that asked for it, if one did.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    return keep(text, application=application, scopes=scopes, issued_with=issued_with), text


def keep(text: str, *, application: Application, scopes: Sequence[str], issued_with: int | None = None) -> ApiKey:
    """Keep what recognises the key `text`, made here or by the supervisor of the demo; return its row."""
    return ApiKey.objects.create(
        application=application,
        prefix=text[:_SHOWN_CHARACTERS],
        last_four=text[-4:],
        digest=digest(text),
        scopes=list(scopes),
        issued_with_id=issued_with,
    )


def recognise(text: str) -> Caller | None:
    """Return whose key `text` is; None when it is unknown, revoked, or its application is inactive."""
    with connection.cursor() as cursor:
        cursor.execute(_recognise_sql(), [digest(text)])
        row = cursor.fetchone()
    if row is None:
        return None
    key_id, scopes, *values = row
    names = _columns(Application)
    application = Application.from_db("default", names, values[: len(names)])
    application.customer = Customer.from_db("default", _columns(Customer), values[len(names) :])
    return Caller(key_id, scopes, application, application.customer)


def digest(text: str) -> bytes:
    """Return what is stored of a key: 256 random bits need no slow hash, only a one-way one."""
    return hashlib.sha256(text.encode()).digest()


@cache
def _columns(model: type[Model]) -> list[str]:
    """The columns that every request reads: all but secrets, which are read when they are wanted."""
    fields = model._meta.concrete_fields  # noqa: SLF001  Django's documented way to a model's columns
    return [field.attname for field in fields if not isinstance(field, SecretField)]


@cache
def _recognise_sql() -> str:
    """One statement text for every request: composing it anew cost more than running it."""
    wanted = [f"application.{name}" for name in _columns(Application)]
    wanted += [f"customer.{name}" for name in _columns(Customer)]
    return f"""
    SELECT key.id, key.scopes, {", ".join(wanted)}
    FROM applications_apikey AS key
    JOIN applications_application AS application ON application.id = key.application_id AND application.is_active
    JOIN applications_customer AS customer ON customer.id = application.customer_id
    WHERE key.digest = %s AND key.revoked_at IS NULL
    """  # noqa: S608  names of our own columns
