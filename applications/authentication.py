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
    """Every endpoint needs a key, and the scope that its method says of itself (`schema.operation`), if it says one."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise errors.Unauthorized
        handler = getattr(view, (request.method or "").lower(), None)
        needed: str | None = getattr(getattr(handler, "operation", None), "scope", None)
        if needed is not None and needed not in caller(request).scopes:
            raise errors.ScopeRequired(f"this request needs an API key with the scope {ApiKey.Scope(needed).value}")
        return True
