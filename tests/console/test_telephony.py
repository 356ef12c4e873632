"""Trunks and numbers at the console."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from minivoice import clock
from telephony.models import Number, Trunk
from tests.console.conftest import Cast
from tests.console.pages import address
from tests.factories import CustomerFactory, TrunkFactory


@pytest.fixture
def trunk(cast: Cast) -> Trunk:
    """A customer's trunk whose inbound address waits."""
    return TrunkFactory(customer=cast.customer, gateway_name="own", inbound_ip="8.8.8.8")


def approve(browser: Client, trunk: Trunk, **changes: str) -> Any:
    url = reverse("admin:telephony_trunk_approve_inbound_ip", args=[trunk.pk])
    shown = re.search(r'name="inbound_ip" value="([^"]*)"', browser.get(url).content.decode())
    form = {"reason": "ticket 17", "inbound_ip": shown[1] if shown else ""}
    return browser.post(url, form | changes, follow=True)


def save(browser: Client, trunk: Trunk, **changes: str) -> Any:
    form = {
        "name": trunk.name,
        "direction": trunk.direction,
        "gateway_name": trunk.gateway_name,
        "proxy": trunk.proxy,
        "priority": "10",
        "transport": "udp",
        "is_active": "on",
        "inbound_ip": trunk.inbound_ip or "",
        "reason": "ticket 18",
        **changes,
    }
    return browser.post(address(Trunk, "change", trunk.pk), form)


def test_an_inbound_address_is_approved_with_a_reason_and_a_line_of_history(root: Client, trunk: Trunk) -> None:
    before = clock.now()
    assert approve(root, trunk).status_code == 200

    trunk.refresh_from_db()
    assert trunk.inbound_ip_approved_at
    assert before <= trunk.inbound_ip_approved_at <= clock.now()
    assert LogEntry.objects.get().change_message == "inbound IP 8.8.8.8 approved, reason: ticket 17"


def test_approval_is_refused_while_another_trunk_has_the_address(root: Client, trunk: Trunk) -> None:
    other = TrunkFactory(customer=CustomerFactory(), inbound_ip="8.8.8.8", inbound_ip_approved_at=clock.now())

    answer = approve(root, trunk)

    assert "another trunk takes calls from this address" in answer.content.decode()
    assert list(Trunk.objects.filter(inbound_ip_approved_at__isnull=False)) == [other]
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": ""}, "This field is required"),
        ({"inbound_ip": "8.8.8.9"}, "the trunk has no such inbound IP any more"),
        ({"inbound_ip": ""}, "the trunk has no inbound IP"),
    ],
)
def test_approves_nothing_that_was_not_shown_and_explained(
    root: Client, trunk: Trunk, changes: dict[str, str], said: str
) -> None:
    assert said in approve(root, trunk, **changes).content.decode()
    trunk.refresh_from_db()
    assert trunk.inbound_ip_approved_at is None


def test_staff_who_may_only_look_approve_nothing(staff: Any, trunk: Trunk) -> None:
    url = reverse("admin:telephony_trunk_approve_inbound_ip", args=[trunk.pk])
    browser = staff("telephony.view_trunk")
    assert browser.post(url, {"reason": "x", "inbound_ip": "8.8.8.8"}).status_code == 403
    trunk.refresh_from_db()
    assert trunk.inbound_ip_approved_at is None


def test_a_new_inbound_address_waits_again(root: Client, trunk: Trunk) -> None:
    Trunk.objects.filter(pk=trunk.pk).update(inbound_ip_approved_at=clock.now())
    assert save(root, trunk, name="renamed").status_code == 302
    assert Trunk.objects.get(pk=trunk.pk).inbound_ip_approved_at
    assert save(root, trunk, inbound_ip="8.8.8.9").status_code == 302
    assert Trunk.objects.get(pk=trunk.pk).inbound_ip_approved_at is None


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("username", "a,b", "has characters that are not allowed here"),
        ("password", "${ENV(PATH)}", "has characters that are not allowed here"),
        ("realm", "a{b}", "has characters that are not allowed here"),
        ("from_domain", "a;b", "has characters that are not allowed here"),
        ("proxy", "carrier.example/x", "must be host or host:port"),
        ("gateway_name", "taken", "another trunk of the same customer has it"),
        ("inbound_ip", "8.8.4.4", "another trunk of the same customer has it"),
    ],
)
def test_refuses_what_sip_could_misread_or_the_customer_has(
    root: Client, trunk: Trunk, field: str, value: str, said: str
) -> None:
    TrunkFactory(customer=trunk.customer, gateway_name="taken", inbound_ip="8.8.4.4")
    answer = save(root, trunk, **{field: value})
    assert answer.status_code == 200
    assert said in answer.content.decode()


def test_what_a_customer_deleted_stays_as_it_was(root: Client, trunk: Trunk) -> None:
    Trunk.objects.filter(pk=trunk.pk).update(is_active=False, deleted_at=clock.now())
    assert root.get(address(Trunk, "change", trunk.pk)).status_code == 200
    assert save(root, trunk).status_code == 403
    assert not Trunk.objects.get(pk=trunk.pk).is_active


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "must be an E.164 number or sip:user@host of one of your trunks"),
        ("sip:1000@carrier.example.net", "must be an E.164 number or sip:user@host of one of your trunks"),
        ("+15551230001", "must not be the number itself"),
    ],
)
def test_staff_forward_a_number_only_where_its_customer_could(root: Client, cast: Cast, target: str, said: str) -> None:
    number = Number.objects.get()
    price = {"inbound_price_per_minute": "0.01", "inbound_connection_fee": "0"}
    increments = {"inbound_initial_increment": 60, "inbound_subsequent_increment": 60}
    form = {"application": cast.application.pk, "route_mode": "sip", "routing_target": target, "is_active": "on"}
    form |= {"reason": "they moved"} | price | increments
    url = address(Number, "change", number.pk)

    assert said in root.post(url, form).content.decode()
    assert root.post(url, form | {"routing_target": "+15551230002"}).status_code == 302
    number.refresh_from_db()
    assert (number.route_mode, number.routing_target) == ("sip", "+15551230002")
    assert root.post(url, form | {"route_mode": "webhook", "routing_target": target}).status_code == 302
    number.refresh_from_db()
    assert (number.route_mode, number.routing_target) == ("webhook", "")


@pytest.mark.parametrize(
    ("was_active", "is_disabled", "offered"),
    [(True, False, {"disable"}), (False, False, {"disable", "enable"}), (False, True, {"enable"})],
)
def test_a_trunk_is_offered_what_support_can_do_and_its_form_enables_none_that_is_disabled(
    root: Client, cast: Cast, was_active: bool, is_disabled: bool, offered: set[str]
) -> None:
    disabled_at = clock.now() if is_disabled else None
    Trunk.objects.filter(pk=cast.trunk.pk).update(is_active=was_active, disabled_at=disabled_at)

    page = root.get(address(Trunk, "change", cast.trunk.pk)).content.decode()

    assert {act for act in ("disable", "enable") if address(Trunk, act, cast.trunk.pk) in page} == offered
    assert ('name="is_active"' in page) is not is_disabled


def test_a_number_in_use_has_an_application_unless_its_calls_are_rejected(root: Client, cast: Cast) -> None:
    number = Number.objects.get()
    form = {"application": "", "routing_target": "+15551230002", "is_active": "on", "reason": "they moved"}
    form |= {"inbound_price_per_minute": "0.01", "inbound_connection_fee": "0"}
    form |= {"inbound_initial_increment": "60", "inbound_subsequent_increment": "60"}
    url = address(Number, "change", number.pk)

    for mode in ("webhook", "sip"):
        answer = root.post(url, form | {"route_mode": mode}).content.decode()
        assert "is needed, unless calls are to be rejected" in answer
    assert Number.objects.get().application == cast.application

    assert root.post(url, form | {"route_mode": "reject"}).status_code == 302
    assert Number.objects.get().application is None


def test_support_disables_and_enables_a_trunk_with_a_reason_and_edits_none(
    staff: Callable[..., Client], cast: Cast
) -> None:
    browser = staff("telephony.view_trunk", "telephony.switch_trunk")
    for act, is_active in (("disable", False), ("enable", True)):
        assert b"This field is required" in browser.post(address(Trunk, act, cast.trunk.pk), {}).content
        assert browser.post(address(Trunk, act, cast.trunk.pk), {"reason": "the carrier asked"}).status_code == 302
        cast.trunk.refresh_from_db()
        assert (cast.trunk.is_active, cast.trunk.disabled_at is None) == (is_active, is_active)
    history = [line.get_change_message() for line in LogEntry.objects.order_by("id")]
    assert history == [f"{act}d. Reason: the carrier asked" for act in ("disable", "enable")]

    assert browser.post(address(Trunk, "change", cast.trunk.pk), {"name": "mine"}).status_code == 403
    assert staff("telephony.view_trunk").get(address(Trunk, "disable", cast.trunk.pk)).status_code == 403
