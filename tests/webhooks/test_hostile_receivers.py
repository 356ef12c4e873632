"""The receivers of the faults' catalogue, all at once, eight times each, met by a pump in a process of its own."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from applications.models import Application, Customer
from minivoice import clock
from tests.webhooks import hostile
from tests.webhooks.certificates import self_signed
from tests.webhooks.receiver import Receiver, Reply, respond
from webhooks import outbox
from webhooks.deliveries import MAX_AT_ONE_ENDPOINT
from webhooks.models import DeliveryAttempt, WebhookEvent

INSIDE = "http://127.0.0.1:1/"
SILLY = ["-1", "99999999999999999999999", "1e9", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "5, 5", "٥", "NaN"]

# By their names: how they answer, and the word of the log; empty: delivered.
RECEIVERS: dict[str, tuple[Reply, str]] = {
    **{name: (reply, "read_timeout") for name, reply in hostile.SILENT.items()},
    **{name: (reply, "") for name, reply in hostile.LONG.items()},
    **{name: (reply, "response_too_large") for name, reply in hostile.NOISY.items()},
    **{name: (reply, "connect_failed") for name, reply in hostile.BROKEN.items()},
    "204": (respond(204, b""), ""),
    "301 to the inside": (respond(301, Location=INSIDE), "http_301"),
    "410": (respond(410), "http_410"),
    **{
        f"429, Retry-After {value}": (respond(429, Retry_After=value), "http_429") for value in SILLY if value.isascii()
    },
    "bad TLS": (respond(), "tls_failed"),
}
PROMPT_SECONDS = 10.0
SLACK_SECONDS = 2.0  # on a machine that does much else
FLAT_BYTES = 48 << 20  # all of them together, a quarter of a MiB each; one bomb alone would be more

PUMP = """
import json, pathlib, re, django
django.setup()
from webhooks import pump
attempts = pump.deliver(places=1000, run_seconds=0.0)
most_kib = re.search("VmHWM:\\s*([0-9]+) kB", pathlib.Path("/proc/self/status").read_text()).group(1)
print(json.dumps([attempts, int(most_kib) * 1024]))
"""


@pytest.fixture
def acme(transactional_db: None) -> Customer:
    return Customer.objects.create(name="acme")


def publish(customer: Customer, name: str, receiver: Receiver) -> Application:
    """An application of that name with as many events as may be under way at once."""
    application = Application.objects.create(customer=customer, name=name, webhook_url=receiver.url)
    for _ in range(MAX_AT_ONE_ENDPOINT):
        outbox.publish_test(application, now=clock.now())
    return application


def pump_once(receivers: list[Receiver]) -> int:
    """Make one attempt of everything, in a process of its own; return the most memory it had, in bytes."""
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "OUTBOUND_ALLOWED": ",".join(receiver.place for receiver in receivers),
    }
    ran = subprocess.run(
        [sys.executable, "-c", PUMP],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    attempts, most_bytes = json.loads(ran.stdout)
    assert attempts == MAX_AT_ONE_ENDPOINT * len(receivers)
    return int(most_bytes)


@pytest.mark.timeout(180)
def test_each_attempt_ends_in_time_with_its_word_in_flat_memory(acme: Customer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        good = [stack.enter_context(Receiver(respond())) for _ in RECEIVERS]
        for number, receiver in enumerate(good):
            publish(acme, f"good {number}", receiver)
        usual_bytes = pump_once(good)
        assert not WebhookEvent.objects.exclude(status="delivered").exists()
        DeliveryAttempt.objects.all().delete()

        bad = {
            name: stack.enter_context(Receiver(reply, tls=self_signed(tmp_path) if name == "bad TLS" else None))
            for name, (reply, _) in RECEIVERS.items()
        }
        for name, receiver in bad.items():
            publish(acme, name, receiver)
        most_bytes = pump_once(list(bad.values()))

    attempts = list(DeliveryAttempt.objects.select_related("event__application"))
    words: dict[str, set[str]] = {name: set() for name in RECEIVERS}
    for attempt in attempts:
        words[attempt.event.application.name].add(attempt.error)
    assert words == {name: {word} for name, (_, word) in RECEIVERS.items()}
    assert len(attempts) == MAX_AT_ONE_ENDPOINT * len(RECEIVERS)
    assert max(attempt.duration_ms for attempt in attempts) / 1000 < PROMPT_SECONDS + SLACK_SECONDS
    assert max(len(attempt.response.encode()) for attempt in attempts) <= 3 * 4096  # U+FFFD stands for one byte
    assert most_bytes - usual_bytes < FLAT_BYTES
    expect_next_attempts()


def expect_next_attempts() -> None:
    """What is tried again is tried within the hour; what is delivered or gone, never."""
    events = WebhookEvent.objects.select_related("application").exclude(status="delivered")
    for event in events:
        if event.application.name == "410":
            assert (event.status, event.next_attempt_at) == ("exhausted", None)
        else:
            assert event.next_attempt_at is not None, event.application.name
            assert event.next_attempt_at <= clock.now() + timedelta(hours=1), event.application.name
