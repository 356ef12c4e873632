"""The books: does what is written down agree with what it was made from? Read-only SQL, owing nothing to the code
that wrote it.

Each question returns a row `customer_id, subject, stated, found` for each disagreement. The auditor counts them;
`reconcile` lists them, customer by customer. Nothing here repairs anything: people do, by entries with a reason.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from applications import jobs
from calls.models import Reconciliation
from minivoice import console

logger = logging.getLogger(__name__)

JOB = "reconcile"
MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """A disagreement: the customer's public id, what it is about, what is written there, what it should be."""

    promise: str
    customer: str
    subject: str
    stated: str
    found: str


@contextmanager
def snapshot() -> Iterator[CursorWrapper]:
    """Give a cursor that reads the database as it is at one moment. Needs no open transaction."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield cursor


def reconcile(*, now: datetime) -> list[Difference]:
    """Compare the books in one snapshot; keep the result, and return the differences by customer.

    Needs no open transaction. The first MOST_KEPT differences are kept with the number of all.
    """
    with snapshot() as cursor:
        found = differences(cursor)
    Reconciliation.objects.create(
        ran_at=now,
        differences_found=len(found),
        differences=[asdict(difference) for difference in found[:MOST_KEPT]],
    )
    if found:
        logger.error("the books differ in %d places; see manage.py reconcile", len(found))
    return found


@jobs.kind(JOB, permission="calls.add_reconciliation", is_one_transaction=False)
def reconcile_now(run: jobs.Run) -> jobs.Result:
    """Compare the books because staff ask for it."""
    found = reconcile(now=run.now)
    line = f"The books differ in {len(found):,} places." if found else "The books agree."
    return jobs.Result(line, page=console.url_of(Reconciliation.objects.latest("id")))


def differences(cursor: CursorWrapper) -> list[Difference]:
    """Return every disagreement that `cursor` sees, by customer."""
    found = [difference for promise in QUESTIONS for difference in _answers(cursor, promise)]
    return sorted(found, key=lambda difference: (difference.customer, difference.promise, difference.subject))


def _answers(cursor: CursorWrapper, promise: str) -> Iterator[Difference]:
    cursor.execute(
        f"""SELECT COALESCE(customer.public_id, ''), subject, stated, found FROM ({QUESTIONS[promise]}) AS difference
            LEFT JOIN applications_customer AS customer ON customer.id = difference.customer_id"""  # noqa: S608
    )
    for row in cursor.fetchall():
        yield Difference(promise, *row)


# Calls that were settled earlier are not kept: their charges stay, and so do the sums of their days
_CALLS_SINCE = "COALESCE((SELECT since FROM calls_keptsince WHERE kind = 'calls'), '-infinity')"

QUESTIONS = {
    "posted is the sum of the entries": """
        SELECT customer_id, 'posted' AS subject, posted::text AS stated, COALESCE(total, 0)::text AS found
        FROM billing_balance
        FULL JOIN (SELECT customer_id, sum(amount) AS total FROM billing_entry GROUP BY 1) AS entries
            USING (customer_id)
        WHERE posted IS DISTINCT FROM COALESCE(total, 0)
    """,
    "held is the sum of the open holds": """
        SELECT customer_id, 'held' AS subject, held::text AS stated, COALESCE(total, 0)::text AS found
        FROM billing_balance
        FULL JOIN (
            SELECT customer_id, sum(amount) AS total FROM billing_hold WHERE closed_at IS NULL GROUP BY 1
        ) AS holds USING (customer_id)
        WHERE held IS DISTINCT FROM COALESCE(total, 0)
    """,
    "each entry tells the balance after it": """
        SELECT customer_id, public_id AS subject, posted_after::text AS stated, so_far::text AS found
        FROM (
            SELECT *, sum(amount) OVER (PARTITION BY customer_id ORDER BY id) AS so_far FROM billing_entry
        ) AS entry
        WHERE posted_after <> so_far
    """,
    "a call is charged what it says, once, and not at all for nothing": f"""
        SELECT COALESCE(call.customer_id, charged.customer_id) AS customer_id,
               COALESCE(call.public_id, charged.call_id) AS subject,
               COALESCE(cost_amount, 0)::text AS stated,
               format('%s in %s entries', COALESCE(total, 0), COALESCE(entries, 0)) AS found
        FROM (SELECT * FROM calls_call WHERE settled_at IS NULL OR settled_at >= {_CALLS_SINCE}) AS call
        FULL JOIN (
            SELECT call_id, min(customer_id) AS customer_id, max(customer_id) AS other_id,
                   count(*) AS entries, -sum(amount) AS total
            FROM billing_entry WHERE kind = 'charge' AND created_at >= {_CALLS_SINCE} GROUP BY call_id
        ) AS charged ON charged.call_id = call.public_id
        WHERE COALESCE(entries, 0) <> CASE WHEN cost_amount > 0 THEN 1 ELSE 0 END
           OR COALESCE(total, 0) <> COALESCE(cost_amount, 0)
           OR charged.customer_id <> call.customer_id OR other_id <> call.customer_id
    """,  # noqa: S608  our own words
    "a live call has one open hold, an ended one none": """
        SELECT call.customer_id, call.public_id AS subject,
               CASE WHEN call.ended_at IS NULL THEN 'live' ELSE 'ended' END AS stated,
               CASE WHEN hold.id IS NULL THEN 'no open hold of its customer' ELSE 'an open hold' END AS found
        FROM calls_call AS call
        LEFT JOIN billing_hold AS hold ON hold.key = call.public_id AND hold.closed_at IS NULL
            AND hold.customer_id = call.customer_id
        WHERE (hold.id IS NULL) = (call.ended_at IS NULL)
    """,
    "no hold without its call": """
        SELECT hold.customer_id, hold.key AS subject, hold.amount::text AS stated, 'no such call' AS found
        FROM billing_hold AS hold
        WHERE NOT EXISTS (
            SELECT FROM calls_call AS call
            WHERE call.public_id = hold.key AND call.customer_id = hold.customer_id)
    """,
    "charge and overrun are the rating of the call's own seconds": """
        WITH talk AS (
            SELECT *, CASE WHEN answered_at IS NULL THEN 0
                ELSE ceil(floor(extract(epoch FROM ended_at - answered_at) * 1000) / 1000) END AS seconds
            FROM calls_call WHERE ended_at IS NOT NULL
        ), billed AS (
            SELECT *, CASE WHEN seconds <= 0 THEN 0 ELSE initial_increment + subsequent_increment
                * ceil(greatest(0, seconds - initial_increment) / subsequent_increment) END AS billed_seconds
            FROM talk
        ), rated AS (
            SELECT *, CASE WHEN billed_seconds = 0 THEN 0 ELSE greatest(minimum_charge,
                round(connection_fee + price_per_minute * billed_seconds / 60, 6)) END AS rating
            FROM billed
        )
        SELECT rated.customer_id, public_id AS subject,
               format('%s s, %s billed, %s + %s', duration_seconds, billable_seconds, cost_amount, overrun_amount)
                   AS stated,
               format('%s s, %s billed, %s of a hold of %s', seconds, billed_seconds, rating, hold.amount) AS found
        FROM rated
        LEFT JOIN billing_hold AS hold ON hold.key = rated.public_id
        WHERE duration_seconds IS DISTINCT FROM seconds OR billable_seconds IS DISTINCT FROM billed_seconds
           OR cost_amount + overrun_amount <> rating OR cost_amount <> least(rating, hold.amount)
    """,
    "a day's spend is the sum of its charges": """
        SELECT customer_id, day::text AS subject, COALESCE(spend.charged, 0)::text AS stated,
               COALESCE(charges.charged, 0)::text AS found
        FROM billing_spendday AS spend
        FULL JOIN (
            SELECT customer_id, (created_at AT TIME ZONE 'UTC')::date AS day, -sum(amount) AS charged
            FROM billing_entry WHERE kind = 'charge' GROUP BY 1, 2
        ) AS charges USING (customer_id, day)
        WHERE spend.charged IS DISTINCT FROM charges.charged
    """,
    "a day's usage is the sum of its calls": f"""
        WITH usage AS (
            SELECT application_id, day, rate_prefix, COALESCE(trunk_id, 0) AS trunk,
                   format('%s calls, %s s, %s billed, %s', calls, duration_seconds, billable_seconds, cost_amount)
                       AS stated
            FROM calls_usageday WHERE day >= ({_CALLS_SINCE} AT TIME ZONE 'UTC')::date
        ), counted AS (
            SELECT application_id, (settled_at AT TIME ZONE 'UTC')::date AS day, rate_prefix,
                   COALESCE(trunk_id, 0) AS trunk,
                   format('%s calls, %s s, %s billed, %s', count(*), sum(duration_seconds), sum(billable_seconds),
                          sum(cost_amount)) AS found
            FROM calls_call WHERE settled_at >= {_CALLS_SINCE} GROUP BY 1, 2, 3, 4
        )
        SELECT application.customer_id,
               format('%s %s %s trunk %s', application.public_id, day, rate_prefix, trunk) AS subject,
               COALESCE(stated, 'nothing') AS stated, COALESCE(found, 'nothing') AS found
        FROM usage FULL JOIN counted USING (application_id, day, rate_prefix, trunk)
        LEFT JOIN applications_application AS application ON application.id = application_id
        WHERE stated IS DISTINCT FROM found
    """,  # noqa: S608
}
