"""Customers' own trunks: made, changed and taken away by the customer, their inbound addresses approved by staff.

These are rows; `telephony.provisioning` brings them to the engine. `endpoint` is their name there.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypedDict

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.text import slugify

from applications.models import Customer
from minivoice import clock, errors, schema
from telephony import vetting
from telephony.models import Trunk


class TrunkObject(TypedDict):
    """A trunk of the customer's own. Calls from `inbound_ip` are taken once `inbound_ip_active` is true."""

    id: schema.Id
    customer_id: schema.Id
    name: str
    direction: str
    gateway_name: str
    proxy: str
    username: str | None
    realm: str | None
    from_domain: str | None
    inbound_ip: str | None
    inbound_ip_active: bool
    transport: str
    srtp: bool
    codecs: list[str]
    registers: bool
    priority: int
    allowed_prefixes: Annotated[list[str], "digits without the +; empty: every number"]
    max_channels: int | None
    max_cps: int | None
    is_active: bool
    state: str
    state_reason: str | None
    created_at: schema.Time
    updated_at: schema.Time


def of(customer: Customer) -> QuerySet[Trunk]:
    """Return the trunks that `customer` sees."""
    return Trunk.objects.filter(customer=customer, deleted_at=None).select_related("customer")


def create(*, customer: Customer, values: Mapping[str, Any]) -> Trunk:
    """Make a trunk of `customer` with these columns; without `gateway_name` it gets one made of its name.

    Asks name servers first. Raises InvalidRequest for an address it may not name, GatewayNameExists,
    InboundIpExists and TrunkLimitReached.
    """
    vetting.check(proxy=values["proxy"], inbound_ip=values["inbound_ip"] or "")
    slug = slugify(values["name"])[:50].strip("-_") or "trunk"
    gateway_name = values.get("gateway_name") or slug
    while True:
        try:
            with transaction.atomic():
                _check_count(customer)
                return Trunk.objects.create(**{**values, "customer": customer, "gateway_name": gateway_name})
        except IntegrityError as error:
            refusal = _refusal(error)
            if "gateway_name" in values or not isinstance(refusal, errors.GatewayNameExists):
                raise refusal from error
            gateway_name = f"{slug}-{secrets.token_hex(4)}"


def change(*, trunk: Trunk, changes: Mapping[str, Any]) -> Trunk:
    """Set the given columns of a customer's trunk and return it; a new inbound address waits for staff again.

    Asks name servers first. Raises as `create` does, InvalidRequest when it is to be active and staff have disabled
    it, and Trunk.DoesNotExist when it was deleted meanwhile.
    """
    new = {name: value for name, value in changes.items() if value != getattr(trunk, name)}
    if not new:
        return trunk
    vetting.check(proxy=new.get("proxy", ""), inbound_ip=new.get("inbound_ip") or "")
    try:
        with transaction.atomic():
            row = _lock(trunk)
            if new.get("is_active") and row.disabled_at is not None:
                raise errors.InvalidRequest("support has disabled this trunk: ask support", param="is_active")
            if new.get("inbound_ip", row.inbound_ip) != row.inbound_ip:
                new["inbound_ip_approved_at"] = None
            for name, value in new.items():
                setattr(row, name, value)
            row.save(update_fields=[*new, "updated_at"])
    except IntegrityError as error:
        raise _refusal(error) from error
    return row


def delete(*, trunk: Trunk, now: datetime) -> None:
    """Take a customer's trunk out of use and out of sight for good; the calls it carried still know it."""
    with transaction.atomic():
        row = _lock(trunk)
        row.is_active, row.inbound_ip_approved_at, row.deleted_at = False, None, now
        row.save(update_fields=["is_active", "inbound_ip_approved_at", "deleted_at", "updated_at"])


def switch(*, trunk: Trunk, is_active: bool, now: datetime) -> bool:
    """Have a trunk carry new calls, or none, by staff: its customer cannot enable what they have disabled.

    Calls that are up go on. False when it was so, or is deleted.
    """
    with transaction.atomic():
        row = Trunk.objects.select_for_update(no_key=True).get(pk=trunk.pk)
        was_so = row.is_active if is_active else row.disabled_at is not None
        is_new = row.deleted_at is None and not was_so
        if is_new:
            row.is_active, row.disabled_at = is_active, None if is_active else now
            row.save(update_fields=["is_active", "disabled_at", "updated_at"])
    return is_new


def approve_inbound_ip(*, trunk: Trunk, inbound_ip: str, now: datetime) -> bool:
    """Let calls in from `inbound_ip`, as staff saw it; return False when the trunk's is another one meanwhile.

    Raises InboundIpExists when another trunk, whoever's, takes calls from there.
    """
    seen = Trunk.objects.filter(pk=trunk.pk, inbound_ip=inbound_ip, deleted_at=None)
    try:
        with transaction.atomic():
            row = seen.select_for_update(no_key=True).first()
            if row is not None:
                row.inbound_ip_approved_at = now
                row.save(update_fields=["inbound_ip_approved_at", "updated_at"])
            return row is not None
    except IntegrityError as error:
        raise errors.InboundIpExists("another trunk takes calls from this address") from error


def render(row: Trunk) -> TrunkObject:
    """Return the trunk object of the API; the password is never in it. Needs `customer`."""
    if row.customer is None:
        raise ValueError("a trunk of the platform is not shown")
    return {
        "id": row.public_id,
        "customer_id": row.customer.public_id,
        "name": row.name,
        "direction": row.direction,
        "gateway_name": row.gateway_name,
        "proxy": row.proxy,
        "username": row.username or None,
        "realm": row.realm or None,
        "from_domain": row.from_domain or None,
        "inbound_ip": row.inbound_ip,
        "inbound_ip_active": row.inbound_ip_approved_at is not None,
        "transport": row.transport,
        "srtp": row.srtp,
        "codecs": row.codecs or list(Trunk.USUAL_CODECS),
        "registers": row.registers,
        "priority": row.priority,
        "allowed_prefixes": row.allowed_prefixes,
        "max_channels": row.max_channels,
        "max_cps": row.max_cps,
        "is_active": row.is_active,
        "state": row.state,
        "state_reason": row.state_reason or None,
        "created_at": clock.text(row.created_at),
        "updated_at": clock.text(row.updated_at),
    }


def _check_count(customer: Customer) -> None:
    """Refuse a trunk more than a customer may have; the row that is locked keeps two from being the last one."""
    Customer.objects.select_for_update(no_key=True).only("pk").get(pk=customer.pk)
    if Trunk.objects.filter(customer=customer, deleted_at=None).count() >= settings.MOST_TRUNKS:
        raise errors.TrunkLimitReached(f"the limit of {settings.MOST_TRUNKS} trunks is reached")


def _lock(trunk: Trunk) -> Trunk:
    rows = Trunk.objects.select_for_update(of=("self",), no_key=True).select_related("customer")
    return rows.get(pk=trunk.pk, deleted_at=None)


def _refusal(error: IntegrityError) -> Exception:
    if "trunk_gateway_name_once" in str(error):
        return errors.GatewayNameExists(param="gateway_name")
    if "trunk_inbound_ip_once" in str(error):
        return errors.InboundIpExists(param="inbound_ip")
    if "trunk_srtp_needs_tls" in str(error):
        return errors.InvalidRequest("srtp needs the transport tls", param="srtp")
    if "trunk_registers_as_somebody" in str(error):
        return errors.InvalidRequest("a trunk that registers needs a username", param="registers")
    return error
