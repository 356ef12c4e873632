"""Promise 17, on connecting, and what bad receivers may cost: real sockets, a loop that notes its dials."""

import asyncio
import gzip
import resource
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

import minivoice
from minivoice.outbound import Answer, Client, Failure, Limits, Lookup, SystemLookup
from tests.minivoice.spellings import INSIDE_ADDRESSES, INSIDE_URLS
from tests.webhooks.certificates import self_signed
from tests.webhooks.receiver import Received, Receiver, Reply, respond

SHORT = Limits(total_seconds=0.5, max_bytes=64 * 1024, connect_seconds=0.3)
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
    *urls: str, names: _Names | None = None, limits: Limits = SHORT, **request: Any
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


def _stream(head: bytes, piece: bytes, pause_seconds: float = 0.0) -> Reply:
    """Send `head`, then `piece` again and again until the other side goes away or the test ends."""

    def reply(_: Received, connection: socket.socket) -> None:
        connection.sendall(head)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            connection.sendall(piece)
            time.sleep(pause_seconds)

    return reply


def _reset(_: Received, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError  # the server closes, and the option above makes that a reset


def _hang(_: Received, connection: socket.socket) -> None:
    connection.recv(1)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
MANY_HEADERS = b"".join(b"X-%d: y\r\n" % n for n in range(10_000))
BOMB = gzip.compress(b"\0" * (64 << 20))

BAD = {
    "silent": (_hang, "read_timeout"),
    "dripping its head": (_stream(HEAD + b"X: ", b"y", 0.05), "read_timeout"),
    "dripping its body": (_stream(HEAD + b"Content-Length: 1000000\r\n\r\n", b"y", 0.05), "read_timeout"),
    "64 MiB": (_stream(HEAD + b"Content-Length: 67108864\r\n\r\n", b"x" * 65536), "response_too_large"),
    "endless": (_stream(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK), "response_too_large"),
    "without an end": (_stream(HEAD + b"\r\n", b"x" * 65536), "response_too_large"),
    "gzip bomb": (respond(200, BOMB, Content_Encoding="gzip"), "response_too_large"),
    "broken gzip": (respond(200, b"nonsense", Content_Encoding="gzip"), "connect_failed"),
    "10,000 headers": (_stream(HEAD + MANY_HEADERS, b"\r\n", 0.05), "response_too_large"),
    "one endless header": (_stream(HEAD + b"X: ", b"y" * 4096), "response_too_large"),
    "reset": (_reset, "connect_failed"),
    "no HTTP": (_stream(b"220 mail.example.com ESMTP\r\n", b"", 0.05), "connect_failed"),
}


@pytest.mark.parametrize("kind", BAD)
def test_survives_a_bad_receiver_within_the_deadline(kind: str, settings: Settings) -> None:
    reply, word = BAD[kind]
    with Receiver(reply) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        started = time.monotonic()
        outcomes, _ = _fetch(receiver.url)

    assert outcomes == [word]
    assert time.monotonic() - started < SHORT.total_seconds + 0.5


@pytest.mark.parametrize("kind", ["64 MiB", "endless", "without an end", "gzip bomb"])
def test_cuts_a_long_body_when_told_to(kind: str, settings: Settings) -> None:
    limits = Limits(total_seconds=2.0, max_bytes=64 * 1024, truncate=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Receiver(BAD[kind][0]) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        answers, _ = _fetch(*[receiver.url] * 10, limits=limits)

    assert [(a.status, len(a.body)) for a in answers if isinstance(a, Answer)] == [(200, 64 * 1024)] * 10
    assert receiver.connections == 10  # the rest of a body is never waited for
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB; nowhere near 64 MiB


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
    with Receiver() as receiver:
        pass
    settings.OUTBOUND_ALLOWED = [receiver.place]

    assert _fetch(receiver.url)[0] == ["connect_failed"]


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
        outcomes, _ = _fetch(f"http://{place[0]}:{place[1]}/")
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

        started = time.monotonic()
        assert asyncio.run(ask()) == "dns_failed"
        assert time.monotonic() - started < 1.0
        assert tarpit.recv(512)  # it was asked


def test_asks_the_name_server_and_judges_its_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        threading.Thread(target=_name_everything_loopback, args=(server,), daemon=True).start()
        nameservers = [f"127.0.0.1:{server.getsockname()[1]}"]

        async def fetch() -> str:
            async with Client(lookup=SystemLookup(nameservers=nameservers)) as client:
                with pytest.raises(Failure) as caught:
                    await client.request("GET", "http://evil.example.com/", limits=SHORT)
            return f"{caught.value.word} {caught.value.detail}"

        with asyncio.Runner(loop_factory=_Loop) as runner:
            assert runner.run(fetch()) == "blocked_address 127.0.0.1"
            assert runner.get_loop().dialled == []  # type: ignore[attr-defined]


def _name_everything_loopback(server: socket.socket) -> None:
    """Answer A questions with 127.0.0.1 and others with nothing (RFC 1035, 4.1)."""
    while True:
        try:
            question, client = server.recvfrom(512)
        except OSError:
            return
        name_ends = question.index(b"\0", 12) + 1
        is_a = question[name_ends : name_ends + 2] == b"\0\1"
        header = question[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if is_a else b""
        server.sendto(header + question[12 : name_ends + 4] + record, client)


def test_a_hundred_hanging_servers_hold_up_no_other(settings: Settings) -> None:
    limits = Limits(total_seconds=2, connect_seconds=2, max_bytes=1024)  # a hundred connections take a moment

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

    with Receiver(_hang) as slow, Receiver() as quick:
        settings.OUTBOUND_ALLOWED = [slow.place, quick.place]
        assert asyncio.run(race(slow.url, quick.url)) < limits.total_seconds


def test_a_secret_in_a_failure_stays_out_of_the_log(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(_reset) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        caplog.set_level("DEBUG")
        _fetch(f"{receiver.url}?token=canary-7f3a")

    assert "canary-7f3a" not in caplog.text
