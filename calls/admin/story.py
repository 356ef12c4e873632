"""A call's timeline in plain words: what was asked, checked, dialled, heard, run, charged, sent, and done by staff.

A kind of line that has no words here yet is shown with its own name and figures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.utils.html import format_html

from billing import rating
from calls import timeline
from calls.models import Attempt, Call, Status
from minivoice import console, money
from webhooks.models import WebhookEvent

Data = Mapping[str, Any]
Words = tuple[str, Any]  # what happened, and what a person would ask next


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, `offset_ms` after the call was accepted."""

    at: datetime
    offset_ms: int
    what: str
    details: Any


class Story:
    """Tells the lines of one call; `attempts` and `events` are what its page has read of them already."""

    def __init__(self, call: Call, *, attempts: Iterable[Attempt], events: Iterable[WebhookEvent]) -> None:
        self.call = call
        self.trunks: dict[str, Model] = {attempt.trunk.public_id: attempt.trunk for attempt in attempts}
        self.events: dict[str, Model] = {event.delivery_id: event for event in events}

    def lines(self, history: Iterable[LogEntry]) -> list[Line]:
        """Return everything in order, with what staff did, which is in the `history` of the call."""
        begun_at = _milliseconds(self.call.accepted_at)
        told = [
            (datetime.fromisoformat(line["at"]), words)
            for line in timeline.read(self.call)
            for words in self.tell(line["event"], line["data"])
        ]
        told += [(_milliseconds(entry.action_time), _staff(entry)) for entry in history]
        told.sort(key=lambda each: each[0])
        return [
            Line(at, (at - begun_at) // timedelta(milliseconds=1), console.numbers(what), console.numbers(details))
            for at, (what, details) in told
        ]

    def tell(self, kind: str, data: Data) -> Iterator[Words]:
        """Yield the words of one line of the timeline."""
        if data.get("repeated"):
            return  # engines say most things twice
        if kind == "accepted":
            yield from self._accepted(data)
        elif kind in _ENDS:
            yield from self._ended(kind)
        elif kind in _WORDS:
            yield _WORDS[kind](self, data)
        else:
            yield kind.replace("_", " ").capitalize(), flat(data)

    def trunk(self, data: Data) -> Any:
        """Return the trunk of a line, linked."""
        trunk = self.trunks.get(data.get("trunk", ""))
        return console.link(console.url_of(trunk), trunk) if trunk else data.get("trunk", console.NOTHING)

    def amount(self, text: Any) -> str:
        """Return an amount of a line with the call's currency."""
        return f"{text} {self.call.currency}"

    def _accepted(self, data: Data) -> Iterator[Words]:
        call = self.call
        application = console.link(console.url_of(call.application), call.application)
        if data.get("parent"):
            yield "Leg accepted", format_html("dialled for the call {}", console.call_link(data["parent"]))
        elif call.direction == Call.Direction.INBOUND:
            yield "Call came in", format_html("over trunk {}, for {}", self.trunk(data), application)
        else:
            request = data.get("request_id") or call.request_id
            yield "Call requested", format_html("by {}{}", application, f", request {request}" if request else "")
        if "available" in data:
            calls = f"{data.get('live_calls')} of at most {data.get('max_concurrent_calls')} calls up"
            yield "All checks passed", f"{calls}; {self.amount(data['available'])} available"
        rate = data.get("rate", {})
        if "price_per_minute" in rate:
            where = f"{rate['description']}, prefix {rate['prefix']}" if rate["description"] else rate["prefix"]
            price = self.amount(rate["price_per_minute"])
            yield "Rate found", f"{price} a minute ({where}), billed {rate['increments']}"
        if "hold" in data:
            seconds = data.get("funded_seconds", call.funded_seconds)
            yield "Money held", f"{self.amount(data['hold'])}, which pays for {seconds} s of talk"

    def _ended(self, kind: str) -> Iterator[Words]:
        call = self.call
        yield _ENDS[kind], f"{call.duration_seconds} s of talk" if call.answered_at else "it was not answered"
        if not call.cost_amount and not call.overrun_amount:
            yield "Nothing charged", "the call costs nothing" if call.billable_seconds else "no time was billed"
        else:
            yield "Charged", f"{console.amount(call.cost_amount, call.currency)}: {arithmetic(call)}"


def arithmetic(call: Call) -> str:
    """Return how the charge of an ended call came about."""
    seconds, billed = call.duration_seconds or 0, call.billable_seconds or 0
    cost, overrun = call.cost_amount or Decimal(0), call.overrun_amount or Decimal(0)
    price, total = call.price, rating.Charge(seconds, billed, cost + overrun)
    made_of = rating.lines(price, total, overrun=overrun)
    increments = f"{price.initial_increment}/{price.subsequent_increment}"
    steps = [f"{seconds} s billed as {billed} s ({increments})"]
    steps.append(f"{billed} / 60 × {money.text(price.per_minute)} = {money.text(made_of.get('talk', Decimal(0)))}")  # noqa: RUF001
    if price.connection_fee:
        steps.append(f"+ {money.text(price.connection_fee)} connection fee")
    if "minimum_charge" in made_of:
        steps.append(
            f"+ {money.text(made_of['minimum_charge'])} up to the minimum of {money.text(price.minimum_charge)}"
        )
    if overrun:
        steps.append(f"- {money.text(overrun)} beyond what was held, which is our loss")
    return "; ".join(steps[:2]) + "".join(f" {step}" for step in steps[2:])


def flat(value: Any) -> str:
    """Return data as a person can read it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {flat(inner)}" for name, inner in value.items())
    return console.NOTHING if value is None or value == "" else str(value)


def sip(code: int | None) -> str:
    """Return a SIP code with what it says."""
    if code is None:
        return "no SIP code"
    return f"SIP {code} ({_SIP[code]})" if code in _SIP else f"SIP {code}"


def _staff(entry: LogEntry) -> Words:
    what, _, reason = entry.get_change_message().partition(" Reason: ")
    name = entry.user.get_full_name() or entry.user.get_username()
    return f"{name} (staff)", f"{what} Reason: {reason}" if reason else what


def _milliseconds(moment: datetime) -> datetime:
    """Cut to milliseconds, as the timeline's times are: what happened at once has offset 0."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _dialed(story: Story, data: Data) -> Words:
    return "Dialing", format_html("attempt {} over trunk {}", data.get("attempt"), story.trunk(data))


def _trunk_refused(story: Story, data: Data) -> Words:
    where = format_html("attempt {} over trunk {}: nothing rang", data.get("attempt"), story.trunk(data))
    return "The trunk did not take the call", where


def _said(what: str) -> Callable[[Story, Data], Words]:
    """Return the words of what an engine says."""
    return lambda story, data: (what, "")


def _engine_ended(story: Story, data: Data) -> Words:
    cause = f", cause {data['cause']}" if data.get("cause") is not None else ""
    attempt = f"attempt {data['attempt']}: " if data.get("attempt") else ""
    return "The line ended", f"{attempt}{sip(data.get('sip_code'))}{cause}"


def _hangup_asked(story: Story, data: Data) -> Words:
    by = {"api": "the customer's application", "system": "us"}.get(str(data.get("by")), data.get("by"))
    return "Hang-up asked for", f"by {by}: {flat(data.get('reason')).replace('_', ' ')}"


def _hold_extended(story: Story, data: Data) -> Words:
    limit = f"; more is not possible for the {_limit(data)}" if data.get("limited_by") else ""
    return "Hold raised", f"to {story.amount(data['hold'])}, which pays for {data['funded_seconds']} s of talk{limit}"


def _extension_refused(story: Story, data: Data) -> Words:
    return "Hold not raised", f"for the {_limit(data)}: the call may last {data['funded_seconds']} s"


def _limit(data: Data) -> str:
    return flat(data.get("limited_by")).replace("_", " ")


def _cut_early(story: Story, data: Data) -> Words:
    told, paid = data.get("timer_seconds"), data.get("funded_seconds")
    return "Cut early", f"the engine's timer was {told} s, though {paid} s were paid for"


def _action_started(story: Story, data: Data) -> Words:
    return f"Action: {data['action']}", f"number {data['position'] + 1} of the instructions"


def _action_failed(story: Story, data: Data) -> Words:
    return f"Action failed: {data['action']}", f"{data['why']}"


def _answered_url(story: Story, data: Data) -> Words:
    number = data["actions"]
    actions = "1 action" if number == 1 else f"{number} actions"
    return "Instructions received", f"{_exchange(data)}: {actions}"


def _failed_url(story: Story, data: Data) -> Words:
    return "No usable instructions", f"{_exchange(data)}: {data['why']}"


def _exchange(data: Data) -> str:
    status = f"HTTP {data['http_status']}" if data.get("http_status") else "no answer"
    return f"{data['url']}, {status} in {data.get('duration_ms')} ms"


def _gathered(story: Story, data: Data) -> Words:
    digits = "digits not kept, they are sensitive" if data.get("digits") is None else f"“{data['digits']}”"
    timed_out = ", the time was over" if data.get("timed_out") else ""
    return "Digits gathered", f"{digits}; {flat(data.get('status'))}{timed_out}"


def _replaced(story: Story, data: Data) -> Words:
    return "Instructions replaced by the API", data.get("url") or f"{data.get('actions')} actions"


def _leg(what: str) -> Callable[[Story, Data], Words]:
    """Return the words of what happened to a leg."""

    def words(story: Story, data: Data) -> Words:
        way = f": {data['from']} → {data['to']}" if "to" in data else ""
        why = f": {flat(data['end_reason']).replace('_', ' ')}" if data.get("end_reason") else ""
        cost = f", {story.amount(data['cost_amount'])}" if data.get("cost_amount") else ""
        return what, format_html("{}{}{}{}", console.call_link(data["leg"]), way, why, cost)

    return words


def _leg_refused(story: Story, data: Data) -> Words:
    return "Leg refused", f"to {data.get('to')}: {data.get('message')} ({data.get('code')})"


def _recording(what: str) -> Callable[[Story, Data], Words]:
    """Return the words of what happened to a recording."""

    def words(story: Story, data: Data) -> Words:
        length = f", {data['duration_seconds']} s" if data.get("duration_seconds") is not None else ""
        why = f": {data['why']}" if data.get("why") else ""
        return what, f"{data.get('recording')}{length}{why}"

    return words


def _webhook(story: Story, data: Data) -> Words:
    event = story.events.get(data["delivery_id"])
    number = f"attempt {data['attempt']}"
    shown = console.link(console.url_of(event), number, label=f"{data['event']} {number}") if event else number
    outcome = f"HTTP {data['http_status']}" if data.get("http_status") else flat(data.get("error"))
    outcome = outcome.replace("_", " ") if not data.get("http_status") else outcome
    return f"Webhook {data['event']}", format_html("{}: {} in {} ms", shown, outcome, data.get("duration_ms"))


_ENDS = {
    "call_completed": f"Call {Status.COMPLETED.label.lower()}",
    "call_failed": f"Call {Status.FAILED.label.lower()}",
    "call_canceled": f"Call {Status.CANCELED.label.lower()}",
}
_WORDS: Mapping[str, Callable[[Story, Data], Words]] = {
    "trunk_tested": lambda story, data: ("Test of a trunk", format_html("over {} alone", story.trunk(data))),
    "dialed": _dialed,
    "trunk_refused": _trunk_refused,
    "trunks_full": lambda story, data: ("No trunk had room", "until the time for dialing was over"),
    "engine_ringing": _said("Ringing"),
    "engine_progress": _said("The network plays sound before the answer"),
    "engine_answered": _said("Answered"),
    "engine_entered": _said("The line takes instructions"),
    "engine_held": _said("The far end put the call on hold"),
    "engine_resumed": _said("The far end took the call off hold"),
    "engine_media_lost": _said("No sound has come from the far end for too long"),
    "engine_ended": _engine_ended,
    "channel_lost": lambda story, data: ("The engine lost the line", f"attempt {data.get('attempt')}"),
    "hangup_asked": _hangup_asked,
    "hold_extended": _hold_extended,
    "extension_refused": _extension_refused,
    "cut_early": _cut_early,
    "action_started": _action_started,
    "action_failed": _action_failed,
    "action_not_available": lambda story, data: (f"Action passed over: {data['action']}", "it is not there yet"),
    "answer_url_answered": _answered_url,
    "answer_url_failed": _failed_url,
    "no_answer_url": lambda story, data: ("No instructions", "the application has no answer URL"),
    "too_many_redirects": lambda story, data: ("Too many redirects", f"more than {data.get('max_redirects')}"),
    "instructions_replaced": _replaced,
    "fell_back": lambda story, data: ("The bridge's fallback begins", flat(data["bridge_status"]).replace("_", " ")),
    "gathered": _gathered,
    "conference_joined": lambda story, data: (f"In conference room {data['room']}", "muted" if data["mute"] else ""),
    "conference_ended": lambda story, data: (f"Conference room {data['room']} ended", "the call goes on"),
    "leg_accepted": _leg("Leg dialled"),
    "leg_refused": _leg_refused,
    "leg_ringing": _leg("Leg rings"),
    "leg_answered": _leg("Leg answered"),
    "leg_joined": _leg("Leg joined: both hear each other"),
    "leg_ended": _leg("Leg ended"),
    "legs_awaited": lambda story, data: ("The caller's line ended", "the call ends with the last of its legs"),
    "recording_started": _recording("Recording started"),
    "recording_completed": _recording("Recording kept"),
    "recording_failed": _recording("Recording failed"),
    "recording_deleted": _recording("Recording erased"),
    "webhook_attempted": _webhook,
}
_SIP = {
    200: "OK",
    401: "our user name or password was not accepted",
    403: "forbidden by the carrier",
    404: "no such number",
    407: "our user name or password was not accepted",
    408: "the carrier did not answer",
    410: "the number is gone",
    480: "not available",
    484: "the number is incomplete",
    486: "busy",
    487: "canceled",
    488: "no common codec",
    500: "an error at the carrier",
    502: "an error beyond the carrier",
    503: "the carrier cannot serve",
    504: "the carrier waited in vain",
    600: "busy everywhere",
    603: "declined",
    604: "the number does not exist",
    607: "unwanted",
}
