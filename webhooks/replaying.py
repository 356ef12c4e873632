"""The replay of a time as a job of staff: all of it, however many events there are."""

from datetime import datetime
from typing import Any

from applications import jobs
from applications.models import Application
from minivoice import errors
from webhooks import replays
from webhooks.models import WebhookEvent

JOB = "replay"
PERMISSION = "webhooks.change_webhookevent"


def title(application: Application, *, status: str, since: datetime, until: datetime) -> str:
    """Return what a replay is called."""
    return f"Replay of {status} events of {application}, {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"


def params(application: Application, *, status: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Return what a job needs to know: the deliveries of events made in [since, until) that have this status."""
    return {
        "application": application.pk,
        "status": status,
        "since": since.isoformat(),
        "until": until.isoformat(),
    }


@jobs.kind(JOB, permission=PERMISSION, is_one_transaction=False)
def replay(run: jobs.Run) -> jobs.Result:
    """Send the events of a time again. Begun anew after a crash, it leaves out what it has sent again already."""
    given = run.job.params
    application = Application.objects.get(pk=given["application"])
    since, until = datetime.fromisoformat(given["since"]), datetime.fromisoformat(given["until"])
    replayed, after = 0, None
    while True:
        try:
            done = replays.replay_range(
                application,
                status=given["status"],
                since=since,
                until=until,
                after=after,
                asked_before=run.job.created_at,
                now=run.now,
            )
        except errors.InvalidRequest as refusal:
            raise jobs.Failed(f"Not replayed: {refusal.message}.") from None
        replayed, after = replayed + done.replayed, done.last_seen
        if after is None:
            return jobs.Result(f"{replayed:,} events are sent again.")
        run.tell(_percent(after, since, until), f"{replayed:,} events are sent again")


def _percent(last_seen: int, since: datetime, until: datetime) -> int:
    """Return how much of the time is done, by the last event seen."""
    at = WebhookEvent.objects.values_list("created_at", flat=True).get(pk=last_seen)
    return int(100 * (at - since) / (until - since))
