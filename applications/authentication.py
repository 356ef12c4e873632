"""Sign-in of API requests: `Authorization: Bearer mv_live_…`, and what a key's scopes allow."""

from typing import Any, cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from applications import keys
from applications.models import ApiKey, Customer
from minivoice import clock, errors


def caller(request: Request) -> keys.Caller:
    """Return who signed the request in."""
    return cast("keys.Caller", request.auth)


class ApiKeyAuthentication(BaseAuthentication):
    """Read the bearer key; every failure is the same 401."""

    def authenticate(self, request: Request) -> tuple[None, keys.Caller]:
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not text.startswith(keys.PREFIX) or not text.isascii():
            raise errors.Unauthorized
        found = keys.recognise(text)
        if found is None:
            raise errors.Unauthorized
        if found.customer.status == Customer.Status.SUSPENDED:
            raise errors.AccountSuspended
        keys.note_use(found, now=clock.now())
        return None, found


class IsCaller(BasePermission):
    """Every endpoint needs a key; those that change something need the scope their view names in `scopes`.

    A view says `scopes = {"POST": "calls"}`; methods it does not name need none.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise errors.Unauthorized
        needed: str | None = getattr(view, "scopes", {}).get(request.method)
        if needed is not None and needed not in caller(request).scopes:
            raise errors.ScopeRequired(f"this request needs an API key with the scope {ApiKey.Scope(needed).value}")
        return True
