-- One batch of calls that never were, with all that follows from them, as MiniVoice itself would have left it.
-- Parameters: first and last (numbers of calls), ids (one before the batch's first id), customers (how many), start, step_us
-- (the moment of call 0 and the microseconds between two), version, trunks, timeline_from, events_from, attempts_from.

CREATE TEMP TABLE seeded ON COMMIT DROP AS
WITH drawn AS (
    SELECT n, %(ids)s + n - %(first)s + 1 AS id,
           %(start)s::timestamptz + n * %(step_us)s * interval '1 microsecond' AS accepted_at,
           (hashint8extended(n, 1) & 16777215) / 16777216::float8 AS by_customer,
           (hashint8extended(n, 2) & 16777215) / 16777216::float8 AS by_end,
           (hashint8extended(n, 3) & 16777215) / 16777216::float8 AS by_length,
           hashint8extended(n, 4) & 16777215 AS by_number,
           (hashint8extended(n, 5) & 1023) < 154 AS is_inbound
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
), placed AS (
    SELECT drawn.*, customer.customer_id, customer.application_id, customer.number, destination.*,
           to_char(accepted_at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS.US') || lpad((n %% 1000)::text, 3, '0') AS digits,
           md5(n::text || %(start)s::text)::uuid AS channel,
           (%(trunks)s::bigint[])[1 + n %% cardinality(%(trunks)s::bigint[])] AS trunk_id,
           accepted_at + (2000 + by_number %% 12000) * interval '1 millisecond' AS rung_at
    FROM drawn
    -- a few customers have many of the calls
    JOIN seed_customer AS customer ON customer.place = floor(%(customers)s * power(by_customer, 3))::int
    JOIN seed_destination AS destination ON destination.place = CASE WHEN is_inbound THEN 0 ELSE 1 + by_number %% 5 END
), ended AS (
    SELECT placed.*, ended.*,
           CASE WHEN ended.status = 'completed' THEN (1 + floor(-90 * ln(1 - by_length * 0.99::float8)))::int ELSE 0 END AS seconds
    FROM placed
    JOIN seed_end AS ended ON by_end >= ended.at_least AND by_end < ended.below
)
SELECT *,
       'call_' || digits AS public_id,
       CASE WHEN status = 'completed' THEN rung_at END AS answered_at,
       rung_at + seconds * interval '1 second' AS ended_at,
       CASE WHEN seconds = 0 THEN 0 ELSE initial + subsequent * ceil(greatest(0, seconds - initial) / subsequent::numeric)
           END::int AS billed,
       CASE WHEN seconds = 0 THEN 0 ELSE round(price * (initial + subsequent
           * ceil(greatest(0, seconds - initial) / subsequent::numeric)) / 60, 6) END AS cost,
       '+' || prefix || lpad((by_number %% (10 ^ (11 - length(prefix)))::bigint)::text, 11 - length(prefix), '0') AS other
FROM ended;

INSERT INTO calls_call (
    id, public_id, customer_id, application_id, direction, from_number, to_number, status, metadata, answer_url,
    ring_seconds, max_duration_seconds, provider_call_id, trunk_id, request_id, accepted_at, dialing_at, ringing_at,
    answered_at, ended_at, settled_at, intent, intent_by, end_reason, hangup_by, sip_code, rate_version_id, rate_prefix,
    price_per_minute, connection_fee, initial_increment, subsequent_increment, minimum_charge, currency, funded_seconds,
    duration_seconds, billable_seconds, cost_amount, overrun_amount, events
)
SELECT id, public_id, customer_id, application_id, CASE WHEN is_inbound THEN 'inbound' ELSE 'outbound' END,
       CASE WHEN is_inbound THEN other ELSE number END, CASE WHEN is_inbound THEN number ELSE other END, status,
       jsonb_build_object('order', n), '', 60, 3600, channel, trunk_id, '', accepted_at,
       accepted_at + interval '80 milliseconds', accepted_at + interval '900 milliseconds', answered_at, ended_at, ended_at,
       '', '', end_reason, hangup_by, sip_code, CASE WHEN is_inbound THEN 0 ELSE %(version)s END,
       CASE WHEN is_inbound THEN 'inbound' ELSE prefix END, price, 0, initial, subsequent, 0, 'USD', greatest(60, billed),
       seconds, billed, cost, 0, CASE WHEN seconds > 0 THEN 3 ELSE 2 END
FROM seeded ORDER BY id;

INSERT INTO calls_attempt (call_id, number, trunk_id, channel_id, state, due_at, claimed_at, ended_at, sip_code, cause)
SELECT id, 1, trunk_id, channel, 'ended', accepted_at, accepted_at, ended_at, sip_code, cause FROM seeded ORDER BY id;

INSERT INTO billing_hold (key, customer_id, amount, funded_seconds, opened_at, closed_at)
SELECT public_id, customer_id, greatest(cost, price), greatest(60, billed), accepted_at, ended_at FROM seeded ORDER BY id;

INSERT INTO billing_entry (
    public_id, customer_id, kind, amount, posted_after, key, reference, call_id, note, created_at
)
SELECT 'le_' || digits, customer_id, 'charge', -cost,
       balance.posted - sum(cost) OVER (PARTITION BY customer_id ORDER BY seeded.id), 'charge:' || public_id, '', public_id,
       '', ended_at
FROM seeded JOIN billing_balance AS balance USING (customer_id) WHERE cost > 0 ORDER BY seeded.id;

UPDATE billing_balance AS balance SET posted = posted - charged.amount
FROM (SELECT customer_id, sum(cost) AS amount FROM seeded GROUP BY customer_id) AS charged
WHERE charged.customer_id = balance.customer_id;

INSERT INTO billing_spendday AS spend (customer_id, day, charged)
SELECT customer_id, (ended_at AT TIME ZONE 'UTC')::date, sum(cost) FROM seeded WHERE cost > 0 GROUP BY 1, 2
ON CONFLICT (customer_id, day) DO UPDATE SET charged = spend.charged + EXCLUDED.charged;

INSERT INTO calls_usageday AS usage (
    application_id, day, rate_prefix, trunk_id, calls, duration_seconds, billable_seconds, cost_amount
)
SELECT application_id, (ended_at AT TIME ZONE 'UTC')::date, CASE WHEN is_inbound THEN 'inbound' ELSE prefix END, trunk_id,
       count(*), sum(seconds), sum(billed), sum(cost)
FROM seeded GROUP BY 1, 2, 3, 4
ON CONFLICT (application_id, day, rate_prefix, trunk_id) DO UPDATE SET
    calls = usage.calls + EXCLUDED.calls, duration_seconds = usage.duration_seconds + EXCLUDED.duration_seconds,
    billable_seconds = usage.billable_seconds + EXCLUDED.billable_seconds,
    cost_amount = usage.cost_amount + EXCLUDED.cost_amount;

INSERT INTO calls_callevent (call_id, at, kind, data)
SELECT id, line.at, line.kind, line.data
FROM seeded CROSS JOIN LATERAL (VALUES
    (1, accepted_at, 'accepted', jsonb_build_object('hold', greatest(cost, price)::text, 'funded_seconds', 60,
        'available', '1000.00', 'live_calls', 1, 'max_concurrent_calls', 100, 'rate', jsonb_build_object('prefix', prefix,
        'description', description, 'price_per_minute', price::text, 'increments', initial || '/' || subsequent))),
    (2, accepted_at + interval '80 milliseconds', 'dialed', jsonb_build_object('attempt', 1)),
    (3, accepted_at + interval '900 milliseconds', 'engine_ringing', jsonb_build_object('channel_id', channel)),
    (4, answered_at, 'engine_answered', jsonb_build_object('channel_id', channel)),
    (5, answered_at, 'answer_url_answered',
        jsonb_build_object('url', 'https://acme.example/answer', 'actions', 1, 'http_status', 200, 'duration_ms', 42)),
    (6, answered_at, 'action_started', jsonb_build_object('action', 'say', 'position', 0)),
    (7, ended_at, 'engine_ended',
        jsonb_build_object('channel_id', channel, 'cause', cause, 'sip_code', sip_code, 'attempt', 1)),
    (8, ended_at, 'call_' || status, jsonb_build_object('duration_seconds', seconds, 'cost_amount', cost::text))
) AS line (place, at, kind, data)
WHERE accepted_at >= %(timeline_from)s AND line.at IS NOT NULL ORDER BY id, line.place;

CREATE TEMP TABLE seeded_event ON COMMIT DROP AS
SELECT nextval(pg_get_serial_sequence('webhooks_webhookevent', 'id')) AS id, told.*
FROM (
    SELECT event.sequence, event.at, event.type, application_id, public_id, n, ended_at,
           to_char((accepted_at + event.sequence * interval '1 microsecond') AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS.US')
               || lpad((n %% 1000)::text, 3, '0') AS event_digits,
           jsonb_build_object('event', event.type, 'created_at', event.at, 'sequence', event.sequence, 'call',
               jsonb_build_object('id', public_id, 'status', status, 'from', number, 'to', other, 'metadata',
                   jsonb_build_object('order', n), 'created_at', accepted_at, 'end_reason', end_reason), 'variables',
               '{}'::jsonb, 'data', jsonb_build_object('event_key', public_id || ':' || event.type)) AS body
    FROM seeded CROSS JOIN LATERAL (VALUES
        (1, accepted_at, 'call.created'), (2, answered_at, 'call.answered'),
        (CASE WHEN seconds > 0 THEN 3 ELSE 2 END, ended_at, 'call.' || status)
    ) AS event (sequence, at, type)
    WHERE accepted_at >= %(events_from)s AND event.at IS NOT NULL ORDER BY seeded.id, event.sequence
) AS told;

INSERT INTO webhooks_webhookevent (
    id, public_id, delivery_id, application_id, type, call_id, sequence, body, created_at, url, status, attempts,
    is_in_flight, delivered_at, error
)
SELECT id, 'evt_' || event_digits, 'whd_' || event_digits, application_id, type, public_id, sequence,
       convert_to(body::text, 'UTF8'), at, 'https://hooks.example/minivoice',
       CASE WHEN n %% 50 = 0 THEN 'exhausted' ELSE 'delivered' END, 1, false,
       CASE WHEN n %% 50 <> 0 THEN at + interval '120 milliseconds' END, CASE WHEN n %% 50 = 0 THEN 'http_status' ELSE '' END
FROM seeded_event ORDER BY id;

INSERT INTO webhooks_deliveryattempt (event_id, number, started_at, duration_ms, http_status, error, response)
SELECT id, 1, at + interval '20 milliseconds', 100, CASE WHEN n %% 50 = 0 THEN 500 ELSE 200 END, '', ''
FROM seeded_event WHERE at >= %(attempts_from)s ORDER BY id;

INSERT INTO calls_refusal (customer_id, code, minute, count, last_number, last_message)
SELECT customer_id, 'DESTINATION_BLOCKED', date_trunc('minute', accepted_at), 1 + n %% 7, other, 'this destination is blocked'
FROM seeded WHERE n %% 100 = 0 AND accepted_at >= %(timeline_from)s
ON CONFLICT (customer_id, code, minute) DO NOTHING;
