"""Asking an answer URL: what a receiver on a real socket is sent, and what comes of one that answers badly."""

import asyncio
import socket
import time
from contextlib import ExitStack

import pytest
from pytest_django.fixtures import Settings

from calls.flow.fetching import BUDGET_SECONDS, Fetched, Request, fetch
from minivoice.outbound import Client
from tests.stillness import Stopwatch
from tests.webhooks import hostile
from tests.webhooks.receiver import Received, Receiver, Reply, respond

DOCUMENT = respond(200, b'{"actions": [{"hangup": {}}]}')


async def ask(request: Request) -> Fetched:
    async with Client() as client:
        return await fetch(client, request)


def test_is_signed_with_both_secrets_while_one_is_replaced(settings: Settings) -> None:
    with Receiver(respond(200, b'{"actions": [{"hangup": {}}]}')) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        request = Request(
            url=receiver.url, method="POST", context={"call_id": "x"}, secret="the new one", previous_secret="the old"
        )
        fetched = asyncio.run(ask(request))

    [sent] = receiver.requests
    assert fetched.failure == ""
    assert sent.body == b'{"call_id":"x"}'
    signatures = [sent.headers["x-minivoice-signature"], sent.headers["x-minivoice-signature-previous"]]
    assert len(set(signatures)) == 2
    assert all(signature.startswith("v1=") for signature in signatures)


def in_turn(*replies: Reply) -> Reply:
    """Answer the first request by the first reply, and so on; the last one stays."""
    left = list(replies)

    def reply(received: Received, connection: socket.socket) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(received, connection)

    return reply


def slowly(then: Reply, *, seconds: float) -> Reply:
    def reply(received: Received, connection: socket.socket) -> None:
        time.sleep(seconds)
        then(received, connection)

    return reply


@pytest.mark.parametrize(
    ("reply", "requests", "failure"),
    [
        (in_turn(respond(503), DOCUMENT), 2, ""),
        (in_turn(respond(429), DOCUMENT), 2, ""),
        (in_turn(hostile.reset, DOCUMENT), 2, ""),
        (respond(500), 2, "http_500"),
        (in_turn(respond(404), DOCUMENT), 1, "http_404"),
        (in_turn(respond(302, Location="https://example.test/"), DOCUMENT), 1, "http_302"),
        (in_turn(respond(201), DOCUMENT), 1, "http_201"),
        (in_turn(respond(200, b"<html><body>Hello</body></html>"), DOCUMENT), 1, "$: "),
        (in_turn(respond(200, b'{"actions": [{"say": {}}]}'), DOCUMENT), 1, "$.actions[0].say.text: is required"),
        (in_turn(slowly(respond(503), seconds=2.2), DOCUMENT), 1, "http_503"),
    ],
)
def test_another_try_follows_a_quick_failure_of_network_or_server_alone(
    reply: Reply, requests: int, failure: str, settings: Settings
) -> None:
    with Receiver(reply) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        fetched = asyncio.run(ask(Request(url=receiver.url, method="POST", context={}, secret="")))

    assert len(receiver.requests) == requests
    assert fetched.failure.startswith(failure)
    assert (fetched.actions is None) is bool(failure)


def test_an_url_that_answers_badly_is_given_up_within_the_budget_and_named(settings: Settings) -> None:
    """Slow, lying, huge, broken: all at once, as each may take its four seconds."""
    replies = {**hostile.SILENT, **hostile.LONG, **hostile.BROKEN}
    with ExitStack() as until_done:
        receivers = {name: until_done.enter_context(Receiver(reply)) for name, reply in replies.items()}
        settings.OUTBOUND_ALLOWED = [receiver.place for receiver in receivers.values()]
        fetched = asyncio.run(ask_all([receiver.url for receiver in receivers.values()]))

    for name, outcome in zip(receivers, fetched, strict=True):
        assert outcome.actions is None, name
        assert outcome.failure, name
        assert outcome.duration_ms < BUDGET_SECONDS * 1000, name
    silent = {outcome.failure for outcome in fetched[: len(hostile.SILENT)]}
    long = {outcome.failure for outcome in fetched[len(hostile.SILENT) :][: len(hostile.LONG)]}
    assert (silent, long) == ({"read_timeout"}, {"response_too_large"})


async def ask_all(urls: list[str]) -> list[Fetched]:
    async with Client() as client:
        requests = [Request(url=url, method="POST", context={}, secret="") for url in urls]
        return await asyncio.gather(*(fetch(client, request) for request in requests))


def test_what_is_left_of_the_budget_ends_a_fallback(settings: Settings) -> None:
    with Receiver(hostile.hang) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        request = Request(url=receiver.url, method="POST", context={}, secret="", budget_seconds=0.5)
        with Stopwatch() as watch:
            fetched = asyncio.run(ask(request))
            assert watch.seconds < 2

    assert fetched.failure == "read_timeout"
    assert fetched.duration_ms >= 490


def test_by_get_the_context_is_in_the_query_but_for_its_objects(settings: Settings) -> None:
    with Receiver(DOCUMENT) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        context = {"call_id": "x", "from": "+1555", "timed_out": True, "variables": {"a": "b"}, "digits": "1#"}
        asyncio.run(ask(Request(url=f"{receiver.url}?mine=1", method="GET", context=context, secret="kept")))

    [sent] = receiver.requests
    assert sent.path.endswith("?mine=1&call_id=x&from=%2B1555&digits=1%23&timed_out=true")
    assert "x-minivoice-signature" not in sent.headers
