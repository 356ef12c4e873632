"""`manage.py listen`: a customer's events live in a terminal, and at a URL of the developer's own machine."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connection
from yarl import URL

from applications.models import Application, Customer
from minivoice import api, clock, errors
from minivoice.outbound import Client, Failure
from webhooks import feed, pump, signing
from webhooks.feed import Place
from webhooks.models import WebhookEvent

PAUSE_SECONDS = 0.5  # between two looks; also how long a database that is away is left alone
_PAGE = 100
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Show = Callable[[Application, bytes], None]


class Command(BaseCommand):
    help = "Shows a customer's events as they happen, and sends them on to a local URL. Ctrl-C ends it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("customer", help="id of the customer, cust_…")
        parser.add_argument("--application", help="only this application's, app_…")
        parser.add_argument("--forward", type=_url, metavar="URL", help="POST each there, signed as webhooks are")
        parser.add_argument("--json", action="store_true", help="whole bodies, one a line")
        start = parser.add_mutually_exclusive_group()
        start.add_argument("--after", metavar="CURSOR", help="go on where listening or GET /v1/events ended")
        start.add_argument("--since", type=_span, metavar="10m", help="begin so long ago: 30s, 10m, 2h, 3d")

    def handle(self, *args: Any, **options: Any) -> None:
        listener = Listener(_applications(options["customer"], options["application"]), say=self._say)
        listener.begin(after=_after(options["after"]), since=options["since"] and clock.now() - options["since"])
        forward: URL | None = options["forward"]
        with Forwarder(forward) if forward else nullcontext() as forwarder:

            def show(application: Application, body: bytes) -> None:
                outcome = forwarder.send(application, body) if forwarder else ""
                self._show(body, outcome, is_whole=options["json"])

            self._say("Listening. Ctrl-C ends it.")
            for number in (signal.SIGINT, signal.SIGTERM):  # also where a script has put it into the background
                signal.signal(number, signal.default_int_handler)
            try:
                listener.run(show)
            except KeyboardInterrupt:
                place = listener.place
                self._say(f"Ended. To go on: --after {api.cursor(place.transaction, place.key)}")

    def _show(self, body: bytes, outcome: str, *, is_whole: bool) -> None:
        if is_whole:
            self.stdout.write(body.decode())
        else:
            event = json.loads(body)
            style = self.style.SUCCESS if outcome.startswith("2") else self.style.ERROR
            self.stdout.write("  ".join(filter(None, (_line(event), outcome and style(f"→ {outcome}")))))
        self.stdout.flush()

    def _say(self, text: str) -> None:
        self.stderr.write(self.style.NOTICE(text))
        self.stderr.flush()


class Listener:
    """Reads the feeds of some applications, and goes on when the database was away."""

    def __init__(self, applications: Callable[[], list[Application]], *, say: Callable[[str], None]) -> None:
        self._applications = applications
        self._say = say
        self._places: dict[int, Place] = {}  # by application, from its first event on
        self.place = Place()

    def begin(self, *, after: Place | None, since: datetime | None) -> None:
        """Begin after this place, or with the events made since then, or now."""
        self.place = after or feed.horizon()
        if since is not None:
            made = WebhookEvent.objects.filter(application__in=self._applications(), created_at__gte=since)
            first = made.order_by("transaction", "pk").values_list("transaction", "pk").first()
            if first is not None:
                self.place = min(self.place, Place(first[0], first[1] - 1))

    def run(self, show: Show) -> None:
        """Show events until a KeyboardInterrupt. All before `place` have been shown: go on there."""
        is_away = False
        while True:
            try:
                self._look(show)
                if is_away:
                    self._say("The database is back.")
                is_away = False
            except Error as error:
                connection.close()
                if not is_away:
                    self._say(f"The database is away, listening goes on when it is back: {error}".strip())
                is_away = True
            time.sleep(PAUSE_SECONDS)

    def _look(self, show: Show) -> None:
        """Show all there is by now."""
        horizon = feed.horizon()
        applications = self._applications()
        for application in applications:
            place = self._places.get(application.pk, self.place)
            while (page := feed.read(application, after=place, limit=_PAGE)).bodies:
                for body in page.bodies:
                    show(application, body)
                place = self._places[application.pk] = page.end
        ends = [max(horizon, self._places.get(application.pk, horizon)) for application in applications]
        self.place = min(ends, default=horizon)


class Forwarder:
    """Sends events to one URL as the pump would: same headers, same signature, once. A context manager."""

    def __init__(self, url: URL) -> None:
        self._url = url
        # This process sends to nobody else, and whoever starts it may go there anyway.
        settings.OUTBOUND_ALLOWED = [f"{url.raw_host}:{url.port}"]

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(Client().__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.__aexit__(None, None, None))
        self._runner.close()

    def send(self, application: Application, body: bytes) -> str:
        """Send an event; return what came of it, in a few words that begin with the status if there is one."""
        event, now = json.loads(body), clock.now()
        headers = signing.headers(
            secret=application.webhook_secret,
            previous_secret=application.previous_secret_at(now),
            event_id=event["id"],
            event=event["event"],
            delivery_id=event["id"].replace("evt_", "whd_", 1),  # both have the same digits
            attempt=1,
            body=body,
            now=now,
        )
        sending = self._client.request("POST", str(self._url), limits=pump.LIMITS, body=body, headers=headers)
        try:
            answer = self._runner.run(sending)
        except Failure as failure:
            return failure.word
        return f"{answer.status} in {answer.duration_ms} ms"


def _applications(customer_id: str, application_id: str | None) -> Callable[[], list[Application]]:
    """Return what reads the applications, which change: others are made, and secrets replaced."""
    customer = Customer.objects.filter(public_id=customer_id).first()
    if customer is None:
        raise CommandError(f"there is no customer {customer_id}")
    rows = Application.objects.filter(customer=customer).order_by("pk")
    if application_id is not None:
        rows = rows.filter(public_id=application_id)
        if not rows.exists():
            raise CommandError(f"{customer_id} has no application {application_id}")
    return lambda: list(rows.all())


def _after(cursor: str | None) -> Place | None:
    try:
        return Place(*api.position(cursor, keys=2, param="--after")) if cursor is not None else None
    except errors.InvalidRequest as error:
        raise CommandError(str(error.detail)) from error


def _url(text: str) -> URL:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.raw_host or not url.port:
        raise ValueError(text)
    return url


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise ValueError(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _line(event: dict[str, Any]) -> str:
    """Return an event in a line: when, which, about which call, and what is worth knowing at a glance."""
    call = event["call"] or {}
    worth = {**call, **event["data"]}
    words: Iterable[Any] = (
        call.get("id", ""),
        f"#{event['sequence']}" if "sequence" in event else "",
        " → ".join(filter(None, (call.get("from"), call.get("to")))),
        *(worth.get(name) for name in ("status", "digits", "end_reason", "cost_amount", "available", "message")),
    )
    text = "  ".join([event["created_at"][11:23], f"{event['event']:<15}", *(str(word) for word in words if word)])
    return "".join(each if each.isprintable() else "?" for each in text)  # a caller's words must not steer a terminal
