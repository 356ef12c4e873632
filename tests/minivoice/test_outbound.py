"""Promise 17, on connecting, and what bad receivers may cost: real sockets, a loop that notes its dials."""

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

import minivoice
from minivoice.outbound import Answer, Client, Failure, Limits, Lookup, SystemLookup
from tests.minivoice.spellings import INSIDE_ADDRESSES, INSIDE_URLS
from tests.stillness import Stopwatch
from tests.webhooks import hostile
from tests.webhooks.certificates import self_signed
from tests.webhooks.receiver import Receiver, Reply, respond

LIMITS = Limits(total_seconds=10.0, max_bytes=64 * 1024)  # which nothing exceeds that is to come of it
SHORT = Limits(total_seconds=0.5, max_bytes=64 * 1024)
PUBLIC = "93.184.216.34"


class _Loop(asyncio.SelectorEventLoop):
    """Notes every connection that is asked for, and makes those to loopback only."""

    def __init__(self) -> None:
        super().__init__()
        self.dialled: list[tuple[str, int]] = []

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.dialled.append(address[:2])
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError("this test dials loopback only")
        await super().sock_connect(sock, address)


class _Names(Lookup):
    """A name server whose answers are given one after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _: str) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def close(self) -> None:
        pass


def _fetch(
    *urls: str, names: _Names | None = None, limits: Limits = LIMITS, **request: Any
) -> tuple[list[Answer | str], list[tuple[str, int]]]:
    """Fetch these one after the other; return answers or failures' words, and what was dialled."""

    async def fetch() -> list[Answer | str]:
        async with Client(lookup=names) as client:
            outcomes: list[Answer | str] = []
            for url in urls:
                try:
                    outcomes.append(await client.request(request.get("method", "GET"), url, limits=limits))
                except Failure as failure:
                    outcomes.append(failure.word)
            return outcomes

    with asyncio.Runner(loop_factory=_Loop) as runner:
        outcomes = runner.run(fetch())
        loop = runner.get_loop()
        assert isinstance(loop, _Loop)
        return outcomes, loop.dialled


def test_dials_no_spelling_of_the_inside() -> None:
    outcomes, dialled = _fetch(*INSIDE_URLS, names=_Names(["127.0.0.1"]))

    assert len(INSIDE_URLS) >= 60
    assert set(outcomes) == {"blocked_address"}
    assert dialled == []


@pytest.mark.parametrize("address", INSIDE_ADDRESSES)
def test_dials_no_name_that_resolves_to_the_inside(address: str) -> None:
    for answers in ([address], [PUBLIC, address], [address, PUBLIC], [PUBLIC, "2606:4700::1", address]):
        assert _fetch("http://example.com/", names=_Names(answers)) == (["blocked_address"], [])


def test_dials_the_address_that_was_judged_when_the_name_is_bound_anew() -> None:
    names = _Names([PUBLIC], ["127.0.0.1"])

    outcomes, dialled = _fetch("http://example.com/", "http://example.com/", names=names)

    assert outcomes == ["connect_failed", "blocked_address"]
    assert dialled == [(PUBLIC, 80)]
    assert names.asked == 2


def test_the_socket_refuses_even_what_got_past_everything_else() -> None:
    async def slip_past() -> None:
        async with Client() as client:
            with pytest.raises(Failure) as caught:
                await client._session.get("http://127.0.0.1:1/")
            assert caught.value.word == "blocked_address"

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(slip_past())
        assert runner.get_loop().dialled == []  # type: ignore[attr-defined]


def test_an_allowed_place_opens_no_other(settings: Settings) -> None:
    with Receiver() as allowed, Receiver() as other:
        settings.OUTBOUND_ALLOWED = [allowed.place]
        outcomes, dialled = _fetch(
            allowed.url,
            other.url,
            f"http://example.com:{allowed.port}/",
            allowed.url,
            names=_Names(["127.0.0.1"]),
        )

    assert [o if isinstance(o, str) else o.status for o in outcomes] == [
        200,
        "blocked_address",
        "blocked_address",
        200,
    ]
    assert dialled == [("127.0.0.1", allowed.port)]  # and the connection was kept
    assert other.connections == 0


def test_an_allowed_name_may_resolve_to_the_inside(settings: Settings) -> None:
    with Receiver() as receiver:
        settings.OUTBOUND_ALLOWED = [f"playground:{receiver.port}"]
        outcomes, _ = _fetch(f"http://playground:{receiver.port}/", names=_Names(["127.0.0.1"]))

    assert isinstance(outcomes[0], Answer)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_no_redirect(status: int, settings: Settings) -> None:
    with Receiver() as inside, Receiver() as receiver:
        receiver.reply = respond(status, Location=inside.url)
        settings.OUTBOUND_ALLOWED = [receiver.place, inside.place]
        [answer], _ = _fetch(receiver.url)

    assert isinstance(answer, Answer)
    assert answer.status == status
    assert inside.connections == 0


def test_uses_no_proxy_of_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.place}")
        [answer], _ = _fetch(receiver.url)

    assert isinstance(answer, Answer)
    assert proxy.connections == 0


def test_says_who_we_are_keeps_the_connection_and_no_cookies(settings: Settings) -> None:
    with Receiver(respond(Set_Cookie="a=b; Path=/")) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        _fetch(receiver.url, receiver.url, receiver.url)

    assert receiver.connections == 1
    assert [request.headers["user-agent"] for request in receiver.requests] == [
        f"MiniVoice/{minivoice.__version__}"
    ] * 3
    assert all("cookie" not in request.headers for request in receiver.requests)


def test_returns_status_headers_and_body(settings: Settings) -> None:
    with Receiver(respond(418, b"short and stout", X_Pot="tea")) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        [answer], _ = _fetch(receiver.url)

    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["x-pot"], answer.body) == (418, "tea", b"short and stout")
    assert 0 <= answer.duration_ms < 500


BAD: dict[str, tuple[Reply, str]] = {
    **{kind: (reply, "response_too_large") for kind, reply in (hostile.LONG | hostile.NOISY).items()},
    **{kind: (reply, "connect_failed") for kind, reply in hostile.BROKEN.items()},
}


@pytest.mark.parametrize("kind", BAD)
def test_survives_a_bad_receiver_long_before_the_deadline(kind: str, settings: Settings) -> None:
    reply, word = BAD[kind]
    with Receiver(reply) as receiver, Stopwatch() as watch:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        outcomes, _ = _fetch(receiver.url)

        assert outcomes == [word]
        assert watch.seconds < SHORT.total_seconds + 0.5


@pytest.mark.parametrize("kind", hostile.SILENT)
def test_gives_a_silent_receiver_up_at_the_deadline(kind: str, settings: Settings) -> None:
    with Receiver(hostile.SILENT[kind]) as receiver, Stopwatch() as watch:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        outcomes, _ = _fetch(receiver.url, limits=SHORT)

        assert outcomes == ["read_timeout"]
        assert watch.seconds < SHORT.total_seconds + 0.5


@pytest.mark.parametrize("kind", hostile.LONG)
def test_cuts_a_long_body_when_told_to(kind: str, settings: Settings) -> None:
    limits = Limits(total_seconds=10.0, max_bytes=64 * 1024, truncate=True)
    with Receiver(BAD[kind][0]) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        answers, _ = _fetch(*[receiver.url] * 10, limits=limits)

    assert [(a.status, len(a.body)) for a in answers if isinstance(a, Answer)] == [(200, 64 * 1024)] * 10
    assert receiver.connections == 10  # the rest of a body is never waited for


def test_accepts_a_204(settings: Settings) -> None:
    with Receiver(lambda _, connection: connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        answers, _ = _fetch(receiver.url, receiver.url)

    assert [(a.status, a.body) for a in answers if isinstance(a, Answer)] == [(204, b"")] * 2


def test_trusts_no_unknown_certificate(settings: Settings, tmp_path: Path) -> None:
    with Receiver(tls=self_signed(tmp_path)) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        outcomes, _ = _fetch(receiver.url)

    assert outcomes == ["tls_failed"]
    assert receiver.requests == []


def test_tells_a_server_without_tls(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        settings.OUTBOUND_ALLOWED = [place]
        threading.Thread(target=lambda: listener.accept()[0].sendall(b"220 hello\r\n" * 10)).start()
        outcomes, _ = _fetch(f"https://{place}/")

    assert outcomes == ["tls_failed"]


def test_tells_a_refused_connection(settings: Settings) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: the port is nobody else's meanwhile
        place = f"127.0.0.1:{nobody.getsockname()[1]}"
        settings.OUTBOUND_ALLOWED = [place]

        assert _fetch(f"http://{place}/")[0] == ["connect_failed"]


def test_tells_a_connection_that_is_not_taken(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        place = listener.getsockname()
        settings.OUTBOUND_ALLOWED = [f"{place[0]}:{place[1]}"]
        waiting = []
        for _ in range(4):  # more than the backlog: the kernel takes no further one
            queued = socket.socket()
            queued.setblocking(False)
            queued.connect_ex(place)
            waiting.append(queued)
        limits = Limits(total_seconds=10.0, max_bytes=64 * 1024, connect_seconds=0.3)
        outcomes, _ = _fetch(f"http://{place[0]}:{place[1]}/", limits=limits)
        for queued in waiting:
            queued.close()

    assert outcomes == ["connect_timeout"]


def test_gives_up_on_a_name_server_that_does_not_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tarpit:
        tarpit.bind(("127.0.0.1", 0))
        lookup = SystemLookup(nameservers=[f"127.0.0.1:{tarpit.getsockname()[1]}"], timeout_seconds=0.2)

        async def ask() -> str:
            with pytest.raises(Failure) as caught:
                await lookup("example.com")
            await lookup.close()
            return caught.value.word

        with Stopwatch() as watch:
            assert asyncio.run(ask()) == "dns_failed"
            assert watch.seconds < 1.0
        assert tarpit.recv(512)  # it was asked


def test_a_hundred_hanging_servers_hold_up_no_other(settings: Settings) -> None:
    limits = Limits(total_seconds=6.0, max_bytes=64 * 1024, connect_seconds=5.0)

    async def race(slow: str, quick: str) -> float:
        async with Client() as client:
            hanging = [asyncio.create_task(client.request("GET", slow, limits=limits)) for _ in range(100)]
            await asyncio.sleep(0)
            started = time.monotonic()
            for _ in range(10):
                await client.request("GET", quick, limits=limits)
            took = time.monotonic() - started
            outcomes = await asyncio.gather(*hanging, return_exceptions=True)
            assert {o.word for o in outcomes if isinstance(o, Failure)} == {"read_timeout"}
            return took

    with Receiver(hostile.hang) as slow, Receiver() as quick:
        settings.OUTBOUND_ALLOWED = [slow.place, quick.place]
        assert asyncio.run(race(slow.url, quick.url)) < limits.total_seconds


def test_a_secret_in_a_failure_stays_out_of_the_log(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(hostile.reset) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        caplog.set_level("DEBUG")
        _fetch(f"{receiver.url}?token=canary-7f3a")

    assert "canary-7f3a" not in caplog.text
