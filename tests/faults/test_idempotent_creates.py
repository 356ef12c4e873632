"""A create whose answer never came, sent again with its `Idempotency-Key`: one call, one hold, one dial."""

from collections.abc import Callable
from pathlib import Path

import minivoice_client
import pytest
import requests

from billing.models import Hold
from calls.models import Attempt, Call
from minivoice.local.stack import Platform
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until
from tests.webhooks import receiver as servers

BODY = {"from": "+15551230001", "to": "+15551230901"}
BEFORE_COMMIT = ["admission_read", "hold_taken", "call_written", "admission_before_commit"]


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver) -> Integrator:
    receiver.answers["/menu"] = {"actions": [{"say": {"text": "Hello"}}]}
    return hire(answer="/menu")


def create(acme: Integrator) -> requests.Response:
    headers = {"Authorization": f"Bearer {acme.key}", "Idempotency-Key": "order-7"}
    return requests.post(f"{acme.base_url}/v1/calls", json=BODY, headers=headers, timeout=20)


def create_when_back(acme: Integrator) -> requests.Response:
    """Create once the web process has been started again."""

    def created() -> requests.Response | None:
        try:
            response = create(acme)
        except requests.ConnectionError:
            return None
        return response if response.status_code == 201 else None

    response: requests.Response = until(created, seconds=30, what="the platform takes calls again", every=0.1)
    return response


def expect_one(acme: Integrator, call_id: str, platform: Platform) -> None:
    """One call, which ended; one hold; dialled once."""
    ended = acme.ended(call_id)

    assert ended["status"] == "completed"
    assert [call.public_id for call in Call.objects.filter(customer=acme.customer)] == [call_id]
    assert Hold.objects.filter(customer=acme.customer).count() == 1
    attempt = Attempt.objects.get(call__customer=acme.customer)
    if not platform.real_network:
        address = f"{platform.facts['simulator_url']}/simulator/channels?id={attempt.channel_id}"
        (record,) = requests.get(address, timeout=5).json()
        assert len(record["dialled_at"]) == 1


@pytest.mark.parametrize("point", [*BEFORE_COMMIT, "call_committed"])
def test_a_create_that_was_killed_is_sent_again(
    point: str, acme: Integrator, platform: Platform, crashpoints: Path
) -> None:
    crashpoints.write_text(f"{point} 1")
    with pytest.raises(requests.ConnectionError):
        create(acme)
    assert not crashpoints.exists()

    again = create_when_back(acme)
    once_more = create(acme)

    assert ("Idempotent-Replayed" in again.headers) is (point not in BEFORE_COMMIT)
    assert once_more.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == once_more.json()["id"]
    expect_one(acme, again.json()["id"], platform)


@pytest.mark.parametrize("lost", [1, 3])
def test_the_client_gets_its_one_call_though_answers_are_lost(lost: int, acme: Integrator, platform: Platform) -> None:
    answers: list[requests.Response] = []

    def forward(request: servers.Received, connection: object) -> None:
        headers = {name: request.headers[name] for name in ("authorization", "content-type", "idempotency-key")}
        address = acme.base_url + request.path
        answers.append(requests.post(address, data=request.body, headers=headers, timeout=20))
        if len(answers) <= lost:
            raise OSError("the answer is lost on its way")
        servers.respond(answers[-1].status_code, answers[-1].content)(request, connection)  # type: ignore[arg-type]

    with servers.Receiver(forward) as proxy:
        client = minivoice_client.Client(acme.key, base_url=f"http://{proxy.place}")
        call = client.create_call(from_=BODY["from"], to=BODY["to"])

    assert len(answers) == lost + 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, *["true"] * lost]
    assert {answer.json()["id"] for answer in answers} == {call["id"]}
    expect_one(acme, call["id"], platform)
