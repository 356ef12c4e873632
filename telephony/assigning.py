"""Numbers that staff assign from a file: checked as a whole, then written as a whole, or not at all."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from applications.models import Application, Customer
from minivoice import inputs
from telephony import numbers
from telephony.models import Number

REQUIRED = ("customer", "number")
OPTIONAL = (
    *("application", "route_mode", "routing_target", "provider"),
    *("price_per_minute", "connection_fee", "increments"),
)
_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_INCREMENTS = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


class Unfit(Exception):
    """Lines are wrong; `problems` has a sentence for each, with its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems: nothing is changed")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A line: the number as it is to be, and whether it is a new one."""

    line: int
    number: Number
    is_new: bool


def read(lines: Iterable[tuple[int, Mapping[str, str]]]) -> list[Assignment]:
    """Return what the lines (their numbers, their cells by column) ask for: new numbers, and others as they are to be.

    An empty cell leaves what is, or the usual for a new number. Changes nothing. Raises Unfit.
    """
    found: list[Assignment] = []
    problems: list[str] = []
    first: dict[str, int] = {}
    for line, given in lines:
        try:
            row = _number(given)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        found.append(Assignment(line, row, is_new=row.pk is None))
        before = first.setdefault(row.number_e164, line)
        if before != line:
            problems.append(f"line {line}: {row.number_e164} is on line {before} already")
    if problems:
        raise Unfit(problems)
    return found


def write(assignments: Iterable[Assignment]) -> None:
    """Assign all the numbers, or none: raises IntegrityError where one was assigned to somebody meanwhile."""
    with transaction.atomic():
        for assignment in assignments:
            assignment.number.save()


def _number(given: Mapping[str, str]) -> Number:
    text = given["number"]
    if not inputs.is_e164(text):
        raise ValueError(f"number {text!r} is not an E.164 number such as +15551230001")
    customer = Customer.objects.filter(public_id=given["customer"]).first()
    if customer is None:
        raise ValueError(f"there is no customer {given['customer']!r}")
    row = Number.objects.select_related("application").filter(number_e164=text).first()
    if row is not None and row.customer_id != customer.pk:
        raise ValueError(f"{text} is another customer's")
    row = row or Number(customer=customer, number_e164=text)
    if given.get("application"):
        row.application = _application(customer, given["application"])
    row.provider = _provider(given.get("provider") or row.provider)
    _route(row, given)
    _price(row, given)
    return row


def _application(customer: Customer, public_id: str) -> Application:
    found = Application.objects.filter(customer=customer, public_id=public_id, is_active=True).first()
    if found is None:
        raise ValueError(f"application {public_id!r} is no active one of {customer.public_id}")
    return found


def _provider(text: str) -> str:
    if len(text) > 50 or not text.isprintable():
        raise ValueError(f"provider {text[:60]!r} is too long, or does not print")
    return text


def _route(row: Number, given: Mapping[str, str]) -> None:
    mode, target = given.get("route_mode") or row.route_mode, given.get("routing_target", "")
    if mode not in Number.RouteMode.values:
        raise ValueError(f"route_mode {mode!r} is none of {', '.join(Number.RouteMode.values)}")
    if mode == Number.RouteMode.SIP:
        target = target or row.routing_target
        try:
            numbers.check_target(target, number=row.number_e164, customer_id=row.customer_id)
        except ValueError as error:
            raise ValueError(f"routing_target {target!r} {error}") from error
    elif target:
        raise ValueError(f"routing_target {target!r} must be empty when route_mode is {mode}")
    if row.application is None and mode != Number.RouteMode.REJECT:
        raise ValueError(f"application is needed when route_mode is {mode}: its calls are an application's")
    row.route_mode, row.routing_target = mode, target


def _price(row: Number, given: Mapping[str, str]) -> None:
    if price := given.get("price_per_minute"):
        row.inbound_price_per_minute = _money("price_per_minute", price)
    if fee := given.get("connection_fee"):
        row.inbound_connection_fee = _money("connection_fee", fee)
    if increments := given.get("increments"):
        found = _INCREMENTS.fullmatch(increments)
        if found is None:
            raise ValueError(f"increments {increments!r} are not seconds such as 60/60")
        row.inbound_initial_increment, row.inbound_subsequent_increment = map(int, found.groups())


def _money(name: str, text: str) -> Decimal:
    if not _MONEY.fullmatch(text):
        raise ValueError(f"{name} {text!r} is not an amount such as 0.0045")
    return Decimal(text)
