-- The least that the database must do for an accepted call, in the platform's own tables with all their indexes and
-- checks: lock the balance, read the rate, hold the money, insert the call, insert its event. Every limit, the
-- attempt, the timeline, HTTP and authentication come on top.
-- Variables: customers, rates (how many there are).
\set customer random(1, :customers)
\set to 10000000000 + (200000 + random(0, :rates - 1)) * 10000 + random(0, 9999)
\set key random(1, 1000000000000000000)
BEGIN;
SELECT posted, held, credit_limit FROM billing_balance WHERE customer_id = :customer FOR UPDATE;
SELECT rate.version_id, rate.prefix, rate.price_per_minute AS price
FROM billing_balance AS balance
JOIN billing_deckversion AS version ON version.deck_id = balance.deck_id AND version.state = 'live'
JOIN billing_rate AS rate ON rate.version_id = version.id AND rate.prefix IN (
    :to::text, (:to / 10)::text, (:to / 100)::text, (:to / 1000)::text, (:to / 10000)::text, (:to / 100000)::text,
    (:to / 1000000)::text, (:to / 10000000)::text, (:to / 100000000)::text, (:to / 1000000000)::text,
    (:to / 10000000000)::text)
WHERE balance.customer_id = :customer
ORDER BY length(rate.prefix) DESC LIMIT 1 \gset
WITH taken AS (
    UPDATE billing_balance SET held = held + :price
    WHERE customer_id = :customer AND posted + credit_limit - held >= :price
    RETURNING customer_id
)
INSERT INTO billing_hold (key, customer_id, amount, funded_seconds, opened_at)
SELECT 'call_' || :key, customer_id, :price, 60, now() FROM taken;
INSERT INTO calls_call (public_id, customer_id, application_id, direction, from_number, to_number, status, metadata,
    answer_url, ring_seconds, max_duration_seconds, request_id, accepted_at, deadline_at, intent, intent_by,
    end_reason, hangup_by, rate_version_id, rate_prefix, price_per_minute, connection_fee, initial_increment,
    subsequent_increment, minimum_charge, currency, funded_seconds, overrun_amount, events)
VALUES ('call_' || :key, :customer, :customer, 'outbound', '+15550000001', '+' || :to, 'queued', '{}',
    '', 60, 14400, '0123456789abcdef01234567', now(), now() + interval '50 seconds', '', '',
    '', '', :version_id, :prefix, :price, 0, 60,
    60, 0, 'USD', 60, 0, 1);
INSERT INTO webhooks_webhookevent (public_id, delivery_id, application_id, type, call_id, sequence, body, created_at,
    url, status, next_attempt_at, attempts, is_in_flight)
VALUES ('evt_' || :key, 'whd_' || :key, :customer, 'call.created', 'call_' || :key, 1,
    convert_to(repeat('0123456789', 70), 'UTF8'), now(),
    'http://127.0.0.1:1/events', 'pending', now(), 0, false);
COMMIT;
