"""Versions of a rate deck: which is in force, what a draft would change, making it live, taking it back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, connection, transaction

from billing.models import DeckVersion, RateDeck

_EXAMPLES = 5


class NotPossible(Exception):
    """The version cannot be made live, or taken back; the message says why."""


@dataclass(frozen=True, slots=True)
class Example:
    """A rate before and after; None where there is none."""

    prefix: str
    description: str
    before: Decimal | None
    after: Decimal | None


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
        for kind, count, *example in cursor:
            found.setdefault(kind, Change(count, [])).examples.append(Example(*example))
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


_CHANGES = """
WITH pair AS (
    SELECT COALESCE(after.prefix, before.prefix) AS prefix, COALESCE(after.description, before.description) AS words,
        before.price_per_minute AS price_before, after.price_per_minute AS price_after,
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
    SELECT prefix, words, price_before, price_after, COALESCE(kind, CASE
        WHEN is_dearer AND is_cheaper THEN 'mixed' WHEN is_dearer THEN 'dearer' WHEN is_cheaper THEN 'cheaper'
        ELSE 'unchanged' END) AS kind
    FROM pair
)
SELECT kind, count, prefix, words, price_before, price_after FROM (
    SELECT *, count(*) OVER (PARTITION BY kind) AS count, row_number() OVER (PARTITION BY kind ORDER BY prefix) AS place
    FROM change
) AS numbered WHERE place <= %(examples)s ORDER BY kind, place
"""
