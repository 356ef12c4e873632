"""What a draft of rates would change, and have meant for the calls of the last 30 days: staff's jobs about drafts.

The preview is kept with the version, as it was found: it costs too much to be made for a page.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from django.utils.dateparse import parse_datetime

from applications import jobs
from billing import columns, importing, sheets, versions
from billing.models import DeckVersion, RateDeck
from calls import repricing
from minivoice import clock, console, money


class ImpactObject(TypedDict):
    """Answered calls of the last 30 days; see `repricing.Impact`."""

    calls: int
    cost: str
    would_be: str
    more: str
    refused_calls: int


class ChangeObject(TypedDict):
    """Rates that change in one way: how many, and the first of them: prefix, description, price before and after."""

    kind: str
    count: int
    examples: Sequence[Sequence[str]]


class Preview(TypedDict, total=False):
    """What is kept with a version. Of an import also what was read, and the lines that were not fit."""

    at: str
    file: str
    places: Sequence[Sequence[str]]
    rates: int
    invalid: int
    invalid_lines: Sequence[Sequence[str | int]]
    changes: Sequence[ChangeObject]
    impact: ImpactObject


_KINDS = ("new", "removed", "dearer", "cheaper", "mixed", "blocked", "unblocked", "unchanged")
_READ_PERCENT = 80
_MESSAGE_CHARACTERS = 200


@jobs.kind(importing.JOB, permission="billing.add_deckversion", has_source=True)
def import_rates(run: jobs.Run) -> jobs.Result:
    """Read a rate sheet into a draft of the deck `deck`, and look at what it would change."""
    params = run.job.params
    if run.source is None:
        raise jobs.Failed("Nothing was imported: there is no file.")
    try:
        imported = importing.import_rates(
            deck=RateDeck.objects.get(pk=params["deck"]),
            path=run.source,
            chosen=params["chosen"],
            effective_from=parse_datetime(params["effective_from"] or "") or run.now,
            tell=lambda rows, read: run.tell(round(read * _READ_PERCENT), f"{rows:,} lines read"),
        )
    except (sheets.Unreadable, columns.Unmapped, importing.Empty) as error:
        raise jobs.Failed(f"Nothing was imported: {error}.") from error
    except RateDeck.DoesNotExist as error:
        raise jobs.Failed("Nothing was imported: the deck is gone.") from error
    problems = imported.problems
    read: Preview = {
        "file": str(params["file"]),
        "places": list(imported.places.items()),
        "rates": imported.rates,
        "invalid": problems.count,
        "invalid_lines": [[line, message[:_MESSAGE_CHARACTERS]] for line, message in problems.first],
    }
    run.tell(_READ_PERCENT, "comparing with the rates in force")
    _keep(imported.version, read, now=run.now)
    line = f"{imported.rates:,} rates are in a draft; {problems.count:,} lines are not fit. Nothing is live yet."
    return jobs.Result(line, page=console.url_of(imported.version))


@jobs.kind(versions.PREVIEW_JOB, permission="billing.change_deckversion")
def look_again(run: jobs.Run) -> jobs.Result:
    """Look once more at what the draft `version` would change."""
    version = DeckVersion.objects.select_related("deck").filter(pk=run.job.params["version"]).first()
    if version is None:
        raise jobs.Failed("The draft is gone.")
    _keep(version, version.preview or {}, now=run.now)
    return jobs.Result(f"This is what {version} would change.", page=console.url_of(version))


def _keep(version: DeckVersion, read: Mapping[str, object], *, now: datetime) -> None:
    """Keep what a version would change beside what was read of its file."""
    found = versions.changes(version, now=now)
    impact = repricing.impact(version, now=now)
    changes: list[ChangeObject] = [
        {
            "kind": kind,
            "count": found[kind].count,
            "examples": [
                [example.prefix, example.description, example.before, example.after] for example in found[kind].examples
            ],
        }
        for kind in _KINDS
        if kind in found
    ]
    version.preview = {
        **read,
        "at": clock.text(now),
        "rates": version.rates.count(),
        "changes": changes,
        "impact": {
            "calls": impact.calls,
            "refused_calls": impact.refused_calls,
            "cost": money.text(impact.cost),
            "would_be": money.text(impact.would_be),
            "more": money.text(impact.would_be - impact.cost),
        },
    }
    version.save(update_fields=["preview"])
