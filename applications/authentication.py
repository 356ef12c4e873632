"""Sign-in of API requests: `Authorization: Bearer mv_live_…`, and what a key's scopes allow."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from applications import keys
from applications.models import ApiKey, Customer
from minivoice import errors


class ApiKeyAuthentication(BaseAuthentication):
    """Read the bearer key; every failure is the same 401."""

    def authenticate(self, request: Request) -> tuple[keys.Caller, None]:
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not text.startswith(keys.PREFIX) or not text.isascii():
            raise errors.Unauthorized
        caller = keys.recognise(text)
        if caller is None:
            raise errors.Unauthorized
        if caller.customer.status == Customer.Status.SUSPENDED:
            raise errors.AccountSuspended
        return caller, None


class IsCaller(BasePermission):
    """Every endpoint needs a key; those that change something need the scope their view names in `scopes`.

    A view says `scopes = {"POST": "calls"}`; methods it does not name need none.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, keys.Caller):
            raise errors.Unauthorized
        needed: str | None = getattr(view, "scopes", {}).get(request.method)
        if needed is not None and needed not in request.user.scopes:
            raise errors.ScopeRequired(f"this request needs an API key with the scope {ApiKey.Scope(needed).value}")
        return True
