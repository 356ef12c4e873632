"""Customers' numbers: what is done with calls to them."""

from collections.abc import Mapping
from typing import Any, TypedDict

from django.db import transaction
from django.db.models import QuerySet

from applications.models import Application, Customer
from minivoice import clock, errors, inputs, schema
from telephony import routing, sip
from telephony.models import Number, Trunk


class NumberObject(TypedDict):
    """A number. `routing_target` is the application's id with `webhook`, a number or SIP URI with `sip`."""

    id: schema.Id
    customer_id: schema.Id
    application_id: schema.Id | None
    number_e164: schema.E164
    provider: str | None
    status: str
    route_mode: str
    routing_target: str | None
    created_at: schema.Time
    updated_at: schema.Time


def of(customer: Customer) -> QuerySet[Number]:
    """Return the numbers of `customer`, those out of use too."""
    return Number.objects.filter(customer=customer).select_related("customer", "application")


def change(*, number: Number, changes: Mapping[str, Any]) -> Number:
    """Route a number anew and return it: `application_id`, `route_mode` and `routing_target`, where given.

    Under `webhook` a `routing_target` names the application, as `application_id` does. Raises InvalidRequest, having
    changed nothing, when the route would not be whole or would lead to what is not the customer's own.
    """
    if not changes:
        return number
    with transaction.atomic():
        row = of(number.customer).select_for_update(of=("self",), no_key=True).get(pk=number.pk)
        row.route_mode = changes.get("route_mode", row.route_mode)
        if "application_id" in changes:
            row.application = _own_application(row, changes["application_id"], "application_id")
        given = changes.get("routing_target", "")
        if row.route_mode == Number.RouteMode.WEBHOOK:
            _route_to_application(row, changes, given)
        elif row.route_mode == Number.RouteMode.REJECT:
            _route_to_nobody(row, given)
        else:
            _route_by_sip(row, changes.get("routing_target", row.routing_target))
        _check_application(row)
        row.save(update_fields=["application", "route_mode", "routing_target", "updated_at"])
    return row


def render(row: Number) -> NumberObject:
    """Return the number object of the API. Needs `customer` and `application`."""
    application_id = row.application.public_id if row.application else None
    is_webhook = row.route_mode == Number.RouteMode.WEBHOOK
    return {
        "id": row.public_id,
        "customer_id": row.customer.public_id,
        "application_id": application_id,
        "number_e164": row.number_e164,
        "provider": row.provider or None,
        "status": "active" if row.is_active else "inactive",
        "route_mode": row.route_mode,
        "routing_target": application_id if is_webhook else row.routing_target or None,
        "created_at": clock.text(row.created_at),
        "updated_at": clock.text(row.updated_at),
    }


def check_target(target: str, *, number: str, customer_id: int) -> None:
    """Raise ValueError with a sentence unless calls to `number` (E.164) may be forwarded to `target`.

    SIP URIs lead only to hosts of the customer's own trunks: nobody else's carrier is called in their name.
    """
    if inputs.is_e164(target):
        if target == number:
            raise ValueError("must not be the number itself")
        return
    try:
        sip.target_place(target)
    except ValueError as error:
        raise ValueError("must be an E.164 number or sip:user@host of one of your trunks") from error
    own = Trunk.objects.filter(customer_id=customer_id, deleted_at=None).values_list("proxy", flat=True)
    if not any(routing.leads_to(target, proxy) for proxy in own):
        raise ValueError("must be an E.164 number or sip:user@host of one of your trunks")


def _own_application(row: Number, public_id: str, param: str) -> Application | None:
    if not public_id:
        return None
    own = Application.objects.filter(customer_id=row.customer_id, is_active=True)
    found = own.filter(public_id=public_id).first()
    if found is None:
        raise errors.InvalidRequest(f"{param} must be one of your active applications", param=param)
    return found


def _route_to_application(row: Number, changes: Mapping[str, Any], target: str) -> None:
    if target:
        named = _own_application(row, target, "routing_target")
        if changes.get("application_id") and named != row.application:
            raise errors.InvalidRequest("routing_target must be the application_id", param="routing_target")
        row.application = named
    row.routing_target = ""


def _route_to_nobody(row: Number, target: str) -> None:
    if target:
        raise errors.InvalidRequest("routing_target must be left out when route_mode is reject", param="routing_target")
    row.routing_target = ""


def _route_by_sip(row: Number, target: str) -> None:
    if not target:
        raise errors.InvalidRequest("routing_target is required when route_mode is sip", param="routing_target")
    try:
        check_target(target, number=row.number_e164, customer_id=row.customer_id)
    except ValueError as error:
        raise errors.InvalidRequest(f"routing_target {error}", param="routing_target") from error
    row.routing_target = target


def _check_application(row: Number) -> None:
    """Refuse to take calls that would be nobody's: also one that is forwarded is an application's."""
    if row.application is None and row.route_mode != Number.RouteMode.REJECT:
        message = f"application_id is required when route_mode is {row.route_mode}"
        raise errors.InvalidRequest(message, param="application_id")
