"""Promise 17 at every door a customer's URL comes in or goes out by: nothing inside is dialled.

The judge is Python's own audit event of `connect`, whoever calls it; every name resolves to the inside.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from calls.flow import document
from calls.flow.fetching import Fetched, Request, fetch
from minivoice import clock
from minivoice.outbound import Client, SystemLookup
from telephony.audio import Audio
from telephony.cache import Cache
from tests.conftest import Actor, refusal
from tests.minivoice.spellings import INSIDE_NAMES, INSIDE_URLS
from tests.webhooks.receiver import Receiver, respond
from webhooks import outbox, pump
from webhooks.models import DeliveryAttempt

_watching: list[list[Any]] = []  # an audit hook cannot be removed: it writes while somebody watches


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "socket.connect" and isinstance(arguments[1], tuple):
        _watching[-1].append(arguments[1][:2])


sys.addaudithook(_note)


@pytest.fixture
def dialled() -> Iterator[list[tuple[str, int]]]:
    """The addresses that sockets of the internet were connected to, or tried to."""
    _watching.append([])
    yield _watching[-1]
    _watching.pop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up. All are the inside's, some also a public one's."""
    names: list[str] = []

    async def look_up(_: SystemLookup, name: str) -> list[str]:
        names.append(name)
        return ["127.0.0.1"] if len(names) % 2 else ["93.184.216.34", "127.0.0.1"]

    monkeypatch.setattr(SystemLookup, "__call__", look_up)
    return names


def _fetch(*urls: str, method: str = "POST") -> list[Fetched]:
    async def ask() -> list[Fetched]:
        async with Client() as client:
            return [
                await fetch(client, Request(url=url, method=method, context={"call_id": "x"}, secret=""))
                for url in urls
            ]

    return asyncio.run(ask())


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["answer_url", "fallback_url", "webhook_url"])
def test_an_application_saves_no_inside_url(
    name: str, acme: Actor, dialled: list[tuple[str, int]], asked: list[str]
) -> None:
    path = f"/v1/applications/{acme.application.public_id}"
    for url in INSIDE_URLS:
        changed = acme.client().patch(path, {name: url}, format="json")
        assert refusal(changed) == (400, "invalid_request"), url
        made = acme.client().post("/v1/applications", {"name": "x", name: url}, format="json")
        assert refusal(made) == (400, "invalid_request"), url

    assert (dialled, asked) == ([], [])


@pytest.mark.django_db
def test_a_call_is_not_made_with_an_inside_url(
    acme: Actor, call_body: dict[str, Any], dialled: list[tuple[str, int]], asked: list[str]
) -> None:
    for url in INSIDE_URLS:
        made = acme.client().post("/v1/calls", {**call_body, "answer_url": url}, format="json")
        assert refusal(made) == (400, "invalid_request"), url

    assert (dialled, asked) == ([], [])


@pytest.mark.django_db
def test_saving_looks_up_no_name(acme: Actor, dialled: list[tuple[str, int]], asked: list[str]) -> None:
    for name in INSIDE_NAMES:
        path = f"/v1/applications/{acme.application.public_id}"
        saved = acme.client().patch(path, {"webhook_url": f"https://{name}/hook"}, format="json")
        assert saved.status_code == 200

    assert (dialled, asked) == ([], [])


@pytest.mark.parametrize("action", ["redirect", "play"])
def test_no_document_names_an_inside_url(action: str) -> None:
    for url in INSIDE_URLS:
        with pytest.raises(document.InvalidDocument, match="url"):
            document.check({"actions": [{action: {"url": url}}]})


def test_no_audio_is_fetched_from_the_inside(
    tmp_path: Path, settings: Settings, dialled: list[tuple[str, int]], asked: list[str]
) -> None:
    with Receiver(respond(302, Location="http://127.0.0.2:80/")) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        urls = [*INSIDE_URLS, *(f"http://{name}/" for name in INSIDE_NAMES), receiver.url]

        async def fetch_all() -> list[str]:
            async with Client() as client:
                audio = Audio(Cache(tmp_path, url="http://127.0.0.1:8099", kept_bytes=0), client)
                return [(await audio.fetch(url, owner="acme")).failure for url in urls]

        *inside, redirected = asyncio.run(fetch_all())

    assert (set(inside), redirected) == ({"blocked_address"}, "http_302")
    assert dialled == [("127.0.0.1", receiver.port)]
    assert set(asked) == set(INSIDE_NAMES)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_instructions_are_fetched_from_the_inside(
    method: str, dialled: list[tuple[str, int]], asked: list[str]
) -> None:
    urls = [*INSIDE_URLS, *(f"http://{name}/" for name in INSIDE_NAMES)]

    fetched = _fetch(*urls, method=method)

    assert {each.failure for each in fetched} == {"blocked_address"}
    assert dialled == []
    assert set(asked) == set(INSIDE_NAMES)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_answer_sends_us_to_the_inside(status: int, settings: Settings, dialled: list[tuple[str, int]]) -> None:
    with Receiver() as receiver:
        receiver.reply = respond(status, Location="http://127.0.0.2:80/")
        settings.OUTBOUND_ALLOWED = [receiver.place]
        [fetched] = _fetch(receiver.url)

    assert fetched.failure == f"http_{status}"
    assert dialled == [("127.0.0.1", receiver.port)]  # which also shows that the watch sees what is dialled


@pytest.mark.django_db
def test_nothing_is_delivered_to_the_inside(acme: Actor, dialled: list[tuple[str, int]], asked: list[str]) -> None:
    """As if the URLs had got into the rows before there was a check."""
    urls = [*INSIDE_URLS, *(f"http://{name}/" for name in INSIDE_NAMES)]
    for url in urls:
        acme.application.webhook_url = url
        outbox.publish_test(acme.application, now=clock.now())

    assert pump.deliver() == len(urls)

    assert set(DeliveryAttempt.objects.values_list("error", flat=True)) == {"blocked_address"}
    assert dialled == []
    assert set(asked) == set(INSIDE_NAMES)
