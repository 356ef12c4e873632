"""Versions of a rate deck: which is in force, what a draft would change, making it live, taking it back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import IntegrityError, connection, transaction

from billing.models import DeckVersion, RateDeck
from minivoice import money

PREVIEW_JOB = "preview_rates"  # the kind of staff's job that looks at a draft again: calls.previews
_EXAMPLES = 5


class NotPossible(Exception):
    """The version cannot be edited, made live, or taken back; the message says why."""


@dataclass(frozen=True, slots=True)
class Example:
    """A rate before and after, in words: its price, and what else of it changes; `none` where there is none."""

    prefix: str
    description: str
    before: str
    after: str


class _Figures(NamedTuple):
    """What a rate costs: money per minute, seconds of the first and each further step, fee, minimum."""

    price: Decimal
    initial: Decimal
    subsequent: Decimal
    fee: Decimal
    minimum: Decimal
    is_blocked: Decimal


@dataclass(frozen=True, slots=True)
class Change:
    """How many rates change in one way, and the first of them."""

    count: int
    examples: list[Example]


def in_force(deck: RateDeck, *, at: datetime, but: DeckVersion | None = None) -> DeckVersion | None:
    """Return the version of `deck` that prices calls at a moment (`but` this one, were it not there)."""
    live = DeckVersion.objects.filter(deck=deck, state=DeckVersion.State.LIVE, effective_from__lte=at)
    if but is not None:
        live = live.exclude(pk=but.pk)
    return live.order_by("-effective_from").first()


def changes(version: DeckVersion, *, now: datetime) -> Mapping[str, Change]:
    """Return what a draft changes against the version that it would follow.

    Rates are `new`, `removed`, `blocked`, `unblocked`, `dearer` and `cheaper` (some figure of price, fee, minimum and
    increments is, and none is the other), `mixed` (some are dearer, some cheaper), `unchanged`.
    """
    before = in_force(version.deck, at=max(now, version.effective_from), but=version)
    found: dict[str, Change] = {}
    with connection.cursor() as cursor:
        cursor.execute(_CHANGES, {"before": before.pk if before else None, "after": version.pk, "examples": _EXAMPLES})
        for kind, count, prefix, words, *sides in cursor:
            one, other = (None if side is None else _Figures(*side) for side in sides)
            example = Example(prefix, words, _in_words(one, other), _in_words(other, one))
            found.setdefault(kind, Change(count, [])).examples.append(example)
    return found


def publish(version: DeckVersion, *, now: datetime) -> bool:
    """Make a draft live from its date on, or from now on when that has passed. False when it is live already.

    Raises NotPossible when another version is live from the same moment.
    """
    effective_from = max(now, version.effective_from)
    draft = DeckVersion.objects.filter(pk=version.pk, state=DeckVersion.State.DRAFT)
    try:
        with transaction.atomic():
            published = draft.update(state=DeckVersion.State.LIVE, effective_from=effective_from)
    except IntegrityError as error:
        raise NotPossible("another version of this deck is live from the same moment") from error
    version.refresh_from_db()
    return bool(published)


def edit(version_id: int, *, now: datetime) -> None:
    """Open a draft to a change by hand: it is not published before the caller's transaction ends.

    What its preview says is of before. Raises NotPossible when it is no draft any more.
    """
    draft = DeckVersion.objects.filter(pk=version_id, state=DeckVersion.State.DRAFT)
    if not draft.update(edited_at=now):  # waits for who publishes or undoes it at the same moment, and sees that
        raise NotPossible("the version was published, or undone, meanwhile")


def undo(version: DeckVersion, *, now: datetime) -> None:
    """Delete a version with its rates: the one before it is in force again. Calls keep the price they were promised.

    Raises NotPossible when it is in force and there is none before it.
    """
    with transaction.atomic():
        list(DeckVersion.objects.select_for_update().filter(deck=version.deck_id))  # two are not undone at once
        is_in_force = in_force(version.deck, at=now) == version
        if is_in_force and in_force(version.deck, at=now, but=version) is None:
            raise NotPossible("it is in force, and there is none before it: no call would have a rate")
        DeckVersion.objects.filter(pk=version.pk).delete()


def _in_words(side: _Figures | None, other: _Figures | None) -> str:
    """Return the price of one side of a change, with what else is not as on the other."""
    if side is None or side.is_blocked:
        return "none" if side is None else "blocked"
    seen = side if other is None or other.is_blocked else other
    words = [money.text(side.price)]
    if (side.initial, side.subsequent) != (seen.initial, seen.subsequent):
        words.append(f"{side.initial}/{side.subsequent}")
    words += [f"fee {money.text(side.fee)}"] if side.fee != seen.fee else []
    words += [f"minimum {money.text(side.minimum)}"] if side.minimum != seen.minimum else []
    return " ".join(words)


_CHANGES = """
WITH pair AS (
    SELECT COALESCE(after.prefix, before.prefix) AS prefix, COALESCE(after.description, before.description) AS words,
        CASE WHEN before.prefix IS NOT NULL THEN ARRAY[before.price_per_minute, before.initial_increment,
            before.subsequent_increment, before.connection_fee, before.minimum_charge, before.blocked::int]
            END AS earlier,
        CASE WHEN after.prefix IS NOT NULL THEN ARRAY[after.price_per_minute, after.initial_increment,
            after.subsequent_increment, after.connection_fee, after.minimum_charge, after.blocked::int]
            END AS later,
        CASE WHEN before.prefix IS NULL THEN 'new' WHEN after.prefix IS NULL THEN 'removed'
            WHEN after.blocked AND NOT before.blocked THEN 'blocked'
            WHEN before.blocked AND NOT after.blocked THEN 'unblocked' END AS kind,
        after.price_per_minute > before.price_per_minute OR after.connection_fee > before.connection_fee
            OR after.minimum_charge > before.minimum_charge OR after.initial_increment > before.initial_increment
            OR after.subsequent_increment > before.subsequent_increment AS is_dearer,
        after.price_per_minute < before.price_per_minute OR after.connection_fee < before.connection_fee
            OR after.minimum_charge < before.minimum_charge OR after.initial_increment < before.initial_increment
            OR after.subsequent_increment < before.subsequent_increment AS is_cheaper
    FROM (SELECT * FROM billing_rate WHERE version_id = %(before)s) AS before
    FULL JOIN (SELECT * FROM billing_rate WHERE version_id = %(after)s) AS after ON after.prefix = before.prefix
), change AS (
    SELECT prefix, words, earlier, later, COALESCE(kind, CASE
        WHEN is_dearer AND is_cheaper THEN 'mixed' WHEN is_dearer THEN 'dearer' WHEN is_cheaper THEN 'cheaper'
        ELSE 'unchanged' END) AS kind
    FROM pair
)
SELECT kind, count, prefix, words, earlier, later FROM (
    SELECT *, count(*) OVER (PARTITION BY kind) AS count, row_number() OVER (PARTITION BY kind ORDER BY prefix) AS place
    FROM change
) AS numbered WHERE place <= %(examples)s ORDER BY kind, place
"""
