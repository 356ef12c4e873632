"""Erasing a number: every table that may hold it is read once, batch by batch, and rewritten where it does.

A run may die: a call's audio is taken away before its row is rewritten, so that the next run finds it again. What is
live is left alone, and what is money stays: the ledger's sums, and its notes, which the database lets nobody change.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from applications.models import Application, Customer, Job, Notice
from billing.models import Approval, Entry
from calls.erasing import spellings, tables
from calls.models import LIVE, Call, CallEvent, IdempotencyKey, Recording, Refusal
from calls.recordings import progress
from telephony.models import Number, Trunk
from webhooks.models import DeliveryAttempt, WebhookEvent

# tables.Columns that are rewritten, in this order; a key is deleted
ERASED: Mapping[type[Model], tables.Columns] = {
    IdempotencyKey: ("key",),
    Call: ("from_number", "to_number", "routing_target", "metadata", "variables", "answer_url", "request_id"),
    CallEvent: ("data",),
    Refusal: ("last_number", "last_message"),
    WebhookEvent: ("body", "url"),
    DeliveryAttempt: ("response",),
    Notice: ("subject", "text"),
    Job: ("title", "params", "line", "file_name", "page"),
    LogEntry: ("object_repr", "change_message"),
}
# What is in use, or cannot be changed: told of, for people to see to
TOLD: Mapping[type[Model], tables.Columns] = {
    Number: ("number_e164", "routing_target"),
    Customer: ("name", "verified_caller_ids"),
    Application: ("name", "answer_url", "fallback_url", "webhook_url"),
    Trunk: ("name", "username"),
    Entry: ("note", "reference"),
    Approval: ("note", "reference", "decision"),
}
_ALONE = {"from_number", "to_number", "last_number", "number_e164"}  # a number there needs no plus to be one


class Live(Exception):
    """Calls with the number are up; the message is their ids."""


@dataclass(slots=True)
class Found:
    """How many rows held the number, by table: those that were (or, dry, would be) rewritten, and those in use."""

    erased: dict[str, int] = field(default_factory=dict)
    recordings: int = 0
    told: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasing of an E.164 number from the rows of one customer, or of all. Dry, nothing is changed."""

    number: str
    customer: Customer | None
    is_dry: bool
    now: datetime
    tell: Callable[[str, int], None]  # hears a table's name and how much of it is read, in percent

    def run(self) -> Found:
        """Erase; return what was found. Raises Live, having changed nothing, when calls with the number are up."""
        live = self._candidates(Call, ERASED[Call]).filter(LIVE)
        if up := sorted(call.public_id for call in live if self._is_in(call, ERASED[Call])):
            raise Live(", ".join(up))
        found = Found()
        for model, columns in [*ERASED.items(), *tables.histories()]:
            if rows := self._erase(model, columns, found):
                found.erased[tables.name(model)] = rows
        for model, columns in TOLD.items():
            candidates = self._candidates(model, columns).iterator(chunk_size=tables.BATCH)
            if rows := sum(self._is_in(row, columns) for row in candidates):
                found.told[tables.name(model)] = rows
        return found

    def _erase(self, model: type[Model], columns: tables.Columns, found: Found) -> int:
        candidates, count = self._candidates(model, columns).filter(_over(model)), 0
        for first, last, percent in tables.ranges(model):
            rows = [row for row in candidates.filter(pk__gt=first, pk__lte=last) if self._is_in(row, columns)]
            if model is Call:
                found.recordings += self._take_audio([row.pk for row in rows if self._is_party(row)])
            if not self.is_dry:
                with transaction.atomic():
                    self._rewrite(model, rows, columns)
            count += len(rows)
            self.tell(tables.name(model), percent)
        return count

    def _rewrite(self, model: type[Model], rows: list[Any], columns: tables.Columns) -> None:
        keys = [row.pk for row in rows]
        if model is IdempotencyKey:
            QuerySet(model).filter(pk__in=keys).delete()
            return
        if model is Call:
            IdempotencyKey.objects.filter(call__in=keys).delete()  # each holds a digest of the number
        for row in rows:
            erased = {name: self._without(getattr(row, name), name) for name in columns}
            QuerySet(model).filter(pk=row.pk).update(**erased)

    def _take_audio(self, call_ids: list[int]) -> int:
        """Take away the recordings of calls, and of those that they are legs of, or have as legs."""
        theirs = Q(call__in=call_ids) | Q(call__parent__in=call_ids) | Q(call__legs__in=call_ids)
        kept = Recording.objects.filter(theirs).exclude(state=Recording.State.DELETED).distinct()
        recording_ids = list(kept.values_list("pk", flat=True))
        for recording_id in () if self.is_dry else recording_ids:
            progress.deleted(recording_id, now=self.now)
        return len(recording_ids)

    def _is_party(self, call: Call) -> bool:
        return self._is_in(call, ("from_number", "to_number"))

    def _is_in(self, row: Any, columns: tables.Columns) -> bool:
        """Whether the number is in one of these columns of a row."""
        spelling, alone = re.compile(spellings.pattern(self.number)), spellings.alone(self.number)
        return any(
            spellings.holds(value, spelling) or (name in _ALONE and value in alone)
            for name in columns
            if (value := getattr(row, name)) is not None
        )

    def _without(self, value: Any, column: str) -> Any:
        if column in _ALONE and value in spellings.alone(self.number):
            return spellings.WORD
        return spellings.erase(value, re.compile(spellings.pattern(self.number)))

    def _candidates(self, model: type[Model], columns: tables.Columns) -> QuerySet[Any]:
        """Return the rows that might hold the number in one of these columns: few more than those that do."""
        rows: QuerySet[Any] = tables.rows(model, customer=self.customer)
        return rows.filter(spellings.might_hold(self.number, tables.as_text(model, columns)))


def _over(model: type[Model]) -> Q:
    """Return what leaves out the rows of calls that are up."""
    if model is Call:
        return ~LIVE
    return Q(call__ended_at__isnull=False) if model in {CallEvent, IdempotencyKey} else Q()
