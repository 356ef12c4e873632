"""`clients/python`: complete by the OpenAPI, at work against the API, and stubborn against a network that fails."""

import inspect
import itertools
import json
import keyword
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import minivoice_client
import pytest
from minivoice_client import operations as client_operations
from minivoice_client import transport

from clients import generate, postman, python_source
from minivoice import clock
from minivoice.openapi import examples
from minivoice.openapi.document import operations
from telephony.models import Number
from tests import factories
from tests.api.contract import described, find
from tests.calls import steps
from tests.calls.recordings.tape import kept
from tests.conftest import Actor
from tests.webhooks.receiver import Received, Receiver, Reply, respond
from webhooks import signing

SECRET = "a-long-random-secret"
BODY = '{"event":"call.created","name":"Zoë"}'.encode()
CALL = {"id": "call_20260529T120000.000000000"}


# Complete


def test_what_is_made_of_the_openapi_is_current() -> None:
    assert generate.OPERATIONS.read_text() == python_source.module(described()), "run `make clients`"
    assert generate.COLLECTION.read_text() == postman.collection(described()), "run `make clients`"


@pytest.mark.parametrize("operation_id", [operation.name for _, _, _, operation in operations()])
def test_has_a_method_with_every_input_of_an_operation(operation_id: str) -> None:
    method = inspect.signature(getattr(minivoice_client.Client, operation_id))

    wanted = {each["name"] for each in find(operation_id).get("parameters", [])} - {"limit", "cursor"}
    body = find(operation_id).get("requestBody")
    if body:
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        wanted |= described()["components"]["schemas"][name]["properties"].keys()
    names = {name.lower().replace("-", "_") for name in wanted}
    assert {f"{name}_" if keyword.iskeyword(name) else name for name in names} | {"self"} == set(method.parameters)


def test_the_collection_has_every_operation_with_a_body_of_the_documentation() -> None:
    folders = json.loads(generate.COLLECTION.read_text())["item"]
    requests = {item["name"]: item["request"] for folder in folders for item in folder["item"]}

    assert len(requests) == len(list(operations()))
    sent = json.loads(requests["Place a call"]["body"]["raw"])
    assert sent == examples.every()["create_call"]["request"]["body"]


# Against the API


@pytest.fixture
def client(live_server: Any, acme: Actor, nobody_dials: None) -> minivoice_client.Client:
    return minivoice_client.Client(acme.key, base_url=live_server.url, tries=1)


@pytest.mark.django_db(transaction=True)
def test_places_follows_and_hangs_up_a_call(client: minivoice_client.Client) -> None:
    call = client.create_call(from_="+15551230001", to="+15551230002", metadata={"order": 7})

    assert (call["status"], call["from"], call["metadata"]) == ("queued", "+15551230001", {"order": 7})
    assert client.get_call(call["id"])["id"] == call["id"]
    assert [each["id"] for each in client.list_calls(to="+15551230002")] == [call["id"]]
    assert next(client.list_call_events(call["id"]))["event"] == "accepted"
    assert client.hang_up_call(call["id"])["status"] == "canceled"


@pytest.mark.django_db(transaction=True)
def test_a_key_given_twice_is_one_call(client: minivoice_client.Client) -> None:
    first, again = (
        client.create_call(from_="+15551230001", to="+15551230002", idempotency_key="order-7") for _ in range(2)
    )
    other = client.create_call(from_="+15551230001", to="+15551230002")

    assert first["id"] == again["id"] != other["id"]


@pytest.mark.django_db(transaction=True)
def test_lists_every_page(client: minivoice_client.Client, acme: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_PAGE", 2)
    made = [factories.ApplicationFactory(customer=acme.customer, name=f"App {number}") for number in range(4)]

    listed = [application["name"] for application in client.list_applications()]

    assert listed == [*(each.name for each in reversed(made)), acme.application.name]
    assert len(list(itertools.islice(client.list_applications(), 3))) == 3


@pytest.mark.django_db(transaction=True)
def test_none_clears_what_is_not_given_stays(client: minivoice_client.Client, acme: Actor) -> None:
    client.update_application(acme.application.public_id, answer_url="https://example.com/answer", name="Night shift")

    changed = client.update_application(acme.application.public_id, answer_url=None)

    assert (changed["answer_url"], changed["name"]) == (None, "Night shift")


@pytest.mark.django_db(transaction=True)
def test_finds_a_number_by_its_digits(client: minivoice_client.Client) -> None:
    assert client.get_did_by_number("+15551230001")["id"] == Number.objects.get().public_id


@pytest.mark.django_db(transaction=True)
def test_fetches_the_audio_of_a_recording(client: minivoice_client.Client, acme: Actor) -> None:
    call = steps.dial(acme)
    steps.answer(call, at=clock.now())
    recording = kept(call)

    audio = client.get_recording_audio(recording.public_id)

    assert (audio[:4], len(audio)) == (b"RIFF", recording.size_bytes)


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_an_error_of_its_own_class(client: minivoice_client.Client) -> None:
    with pytest.raises(client_operations.InvalidRequest) as refusal:
        client.create_call(from_="+15551230001", to="5")

    error = refusal.value
    assert (error.status, error.error_code, error.param) == (400, "invalid_request", "to")
    assert error.request_id
    assert isinstance(error, minivoice_client.ApiError)


@pytest.mark.django_db(transaction=True)
def test_the_first_example_of_its_readme_places_a_call(client: minivoice_client.Client, acme: Actor) -> None:
    base_url = client._base_url
    first = readme()[0].replace("mv_live_…", acme.key).replace("http://127.0.0.1:8000", base_url)

    exec(compile(first, "readme", "exec"), {})  # noqa: S102  our own documentation

    assert [call["metadata"] for call in client.list_calls()] == [{"order": 4711}]


def readme() -> list[str]:
    """The Python of the client's README."""
    text = (generate.ROOT / "clients/python/README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


# Against a network that fails


def scripted(*replies: Reply) -> Reply:
    """Answer each request with the next of these."""
    left = list(replies)

    def reply(request: Received, connection: socket.socket) -> None:
        left.pop(0)(request, connection)

    return reply


def drop(request: Received, connection: socket.socket) -> None:
    """Close without a word."""
    raise OSError


def refuse(status: int, code: str, **headers: str) -> Reply:
    body = {"error": {"code": code, "message": "no", "request_id": "4a1f0c6e9b7d2f5813a6c0de"}}
    return respond(status, json.dumps(body).encode(), **headers)


CREATED = respond(201, json.dumps(CALL).encode())


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def stubborn(server: Receiver) -> minivoice_client.Client:
    return minivoice_client.Client("mv_live_key", base_url=f"http://{server.place}", tries=3)


def keys_sent(server: Receiver) -> list[str]:
    return [request.headers["idempotency-key"] for request in server.requests]


@pytest.mark.parametrize(
    "failure",
    [
        drop,
        refuse(409, "idempotency_in_progress", Retry_After="0"),
        refuse(429, "cps_limit_reached", Retry_After="0"),
        refuse(503, "unavailable", Retry_After="0"),
        respond(502, b"<html>Bad Gateway</html>"),
        respond(504, b""),
    ],
)
def test_a_create_is_sent_again_with_the_same_key(
    failure: Reply, server: Receiver, stubborn: minivoice_client.Client
) -> None:
    server.reply = scripted(failure, failure, CREATED)

    assert stubborn.create_call(from_="+15551230001", to="+15551230002")["id"] == CALL["id"]

    assert len(keys_sent(server)) == 3
    assert len(set(keys_sent(server))) == 1
    assert len({request.body for request in server.requests}) == 1


def test_waits_as_long_as_it_is_asked_to(server: Receiver, stubborn: minivoice_client.Client) -> None:
    server.reply = scripted(refuse(429, "cps_limit_reached", Retry_After="1"), CREATED)

    stubborn.create_call(from_="+15551230001", to="+15551230002")

    first, second = (request.at for request in server.requests)
    assert second - first >= 1


def test_gives_up_in_the_end(server: Receiver, stubborn: minivoice_client.Client) -> None:
    server.reply = drop
    with pytest.raises(minivoice_client.ConnectionFailed):
        stubborn.create_call(from_="+15551230001", to="+15551230002")

    server.reply = refuse(503, "unavailable", Retry_After="0")
    with pytest.raises(client_operations.Unavailable):
        stubborn.create_call(from_="+15551230001", to="+15551230002")

    assert len(server.requests) == 6
    assert len(set(keys_sent(server))) == 2


@pytest.mark.parametrize("failure", [drop, respond(502, b"<html>Bad Gateway</html>")])
def test_what_could_be_done_twice_is_sent_once(
    failure: Reply, server: Receiver, stubborn: minivoice_client.Client
) -> None:
    server.reply = failure

    with pytest.raises(minivoice_client.MiniVoiceError):
        stubborn.create_application(name="Reminders")

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(502, "originate_failed"), (402, "insufficient_balance"), (500, "internal_error")]
)
def test_what_would_not_change_is_not_asked_again(
    status: int, code: str, server: Receiver, stubborn: minivoice_client.Client
) -> None:
    server.reply = refuse(status, code)

    with pytest.raises(minivoice_client.ApiError, match=code):
        stubborn.create_call(from_="+15551230001", to="+15551230002")

    assert len(server.requests) == 1


def test_does_not_take_its_key_elsewhere(server: Receiver, stubborn: minivoice_client.Client) -> None:
    server.reply = respond(307, b"", Location="http://127.0.0.1:1/")

    with pytest.raises(minivoice_client.ApiError, match="http_307"):
        stubborn.get_balance()


def test_names_stay_in_their_place_in_a_path(server: Receiver, stubborn: minivoice_client.Client) -> None:
    server.reply = respond(200, b"{}")

    stubborn.get_call("../balance?x=1")

    assert server.requests[0].path == "/v1/calls/..%2Fbalance%3Fx%3D1"


# Webhooks


def signed(*, secret: str = SECRET, previous_secret: str = "", age: timedelta = timedelta(0)) -> dict[str, str]:
    return signing.headers(
        secret=secret,
        previous_secret=previous_secret,
        event_id="evt_20260529T120000.123456789",
        event="call.created",
        delivery_id="whd_20260529T120000.123456789",
        attempt=1,
        body=BODY,
        now=clock.now() - age,
    )


def only(prefix: str, headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower().startswith(prefix)}


@pytest.mark.parametrize("prefix", ["x-minivoice", "webhook-", ""])
def test_a_genuine_webhook_is_read(prefix: str) -> None:
    event = minivoice_client.verify(secret=SECRET, headers=only(prefix, signed()), body=BODY)

    assert event == json.loads(BODY)


def test_the_second_example_of_its_readme_takes_what_is_genuine() -> None:
    example: dict[str, Any] = {}
    exec(compile(readme()[1], "readme", "exec"), example)  # noqa: S102  our own documentation

    assert example["receive"](signed(), b'{"event": "a", "id": "b"}') == 400
    body = json.dumps({"event": "call.created", "id": "evt_1"}).encode()
    headers = signing.request_headers(secret=SECRET, body=body, now=clock.now())
    assert example["receive"](headers, body) == 204


@pytest.mark.parametrize("prefix", ["x-minivoice", "webhook-"])
def test_the_secret_that_is_being_replaced_still_counts(prefix: str) -> None:
    headers = only(prefix, signed(secret="the-next-secret", previous_secret=SECRET))

    assert minivoice_client.verify(secret=SECRET, headers=headers, body=BODY)


@pytest.mark.parametrize("prefix", ["x-minivoice", "webhook-"])
def test_a_webhook_that_is_forged_altered_old_or_unsigned_is_refused(prefix: str) -> None:
    for headers, body in (
        (signed(secret="a-forged-secret"), BODY),
        (signed(), BODY.replace(b"created", b"crested")),
        (signed(age=timedelta(minutes=6)), BODY),
        (signed(age=timedelta(minutes=-6)), BODY),
        ({}, BODY),
    ):
        with pytest.raises(minivoice_client.InvalidSignature):
            minivoice_client.verify(secret=SECRET, headers=only(prefix, headers), body=body)
