"""Names and TLS on the way out: what a real name server's answers lead to, and whose certificate is believed."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp.connector
import pytest
from pytest_django.fixtures import Settings

from minivoice.outbound import Client, Failure, Limits, SystemLookup
from tests.webhooks import hostile
from tests.webhooks.certificates import self_signed
from tests.webhooks.receiver import Receiver, respond

LIMITS = Limits(total_seconds=15.0, max_bytes=64 * 1024, connect_seconds=10.0)  # for a machine that does much else
PUBLIC = [f"93.184.216.{number}" for number in range(1, 100)]


@contextmanager
def name_server(*addresses: str, cname: str = "") -> Iterator[str]:
    """A name server (RFC 1035) that has these IPv4 addresses for every name, behind `cname` if given."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        serving = threading.Thread(target=_serve, args=(server, addresses, cname))
        serving.start()
        host, port = server.getsockname()
        yield f"{host}:{port}"
        server.sendto(b"", (host, port))  # no question: the end
        serving.join()


def _serve(server: socket.socket, addresses: tuple[str, ...], cname: str) -> None:
    while (asked := server.recvfrom(512))[0]:
        question, client = asked
        server.sendto(_answer(question, addresses, cname), client)


def _answer(question: bytes, addresses: tuple[str, ...], cname: str) -> bytes:
    """Answer a question for A; other types have no record."""
    name_ends = question.index(b"\0", 12) + 1
    is_a = question[name_ends : name_ends + 2] == b"\0\1"
    owner, records = b"\xc0\x0c", []
    if cname:
        alias = b"".join(bytes([len(label)]) + label.encode() for label in cname.split(".")) + b"\0"
        records.append(owner + struct.pack("!HHIH", 5, 1, 1, len(alias)) + alias)
        owner = alias
    if is_a:
        records += [owner + struct.pack("!HHIH", 1, 1, 1, 4) + IPv4Address(a).packed for a in addresses]
    header = question[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, len(records), 0, 0)
    return header + question[12 : name_ends + 4] + b"".join(records)


class _Loop(asyncio.SelectorEventLoop):
    """Notes every connection that is asked for, and makes none but to loopback."""

    def __init__(self) -> None:
        super().__init__()
        self.dialled: list[str] = []

    async def sock_connect(self, sock: socket.socket, address: tuple[str, int]) -> None:  # type: ignore[override]
        self.dialled.append(address[0])
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError("this test dials loopback only")
        await super().sock_connect(sock, address)


def fetch(url: str, *, nameserver: str) -> tuple[int | str, list[str]]:
    """Return the status or the failure's word, and the addresses that were dialled."""
    [outcome], dialled = fetch_again(url, nameserver=nameserver, times=1)
    return outcome, dialled


def fetch_again(url: str, *, nameserver: str, times: int) -> tuple[list[int | str], list[str]]:
    """The same, with a client that asks one time after the other."""

    async def ask(client: Client) -> int | str:
        try:
            return (await client.request("POST", url, limits=LIMITS, body=b"{}")).status
        except Failure as failure:
            return failure.word

    async def ask_all() -> list[int | str]:
        async with Client(lookup=SystemLookup(nameservers=[nameserver], timeout_seconds=10.0)) as client:
            return [await ask(client) for _ in range(times)]

    with asyncio.Runner(loop_factory=_Loop) as runner:
        outcomes = runner.run(ask_all())
        loop = runner.get_loop()
        assert isinstance(loop, _Loop)
        return outcomes, loop.dialled


@pytest.mark.parametrize("cname", ["", "metadata.google.internal", "localhost", "a.public.example.org"])
@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["169.254.169.254"], [PUBLIC[0], "10.0.0.1"], [*PUBLIC[:20], "0.0.0.0"]]
)
def test_dials_nothing_when_one_answer_is_inside(answers: list[str], cname: str) -> None:
    with name_server(*answers, cname=cname) as nameserver:
        assert fetch("http://evil.example.com/", nameserver=nameserver) == ("blocked_address", [])


def test_a_name_without_an_address_is_told() -> None:
    with name_server() as nameserver:
        assert fetch("http://evil.example.com/", nameserver=nameserver) == ("dns_failed", [])


def test_knocks_at_few_of_a_names_many_addresses() -> None:
    with name_server(*PUBLIC[:25]) as nameserver:
        outcome, dialled = fetch("http://evil.example.com/", nameserver=nameserver)

    assert outcome == "connect_failed"
    assert 0 < len(dialled) <= 10  # aiohttp goes over them again, each time without the first
    assert len(set(dialled)) <= 4


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for right.example.com that this machine trusts."""
    context = self_signed(tmp_path, name="right.example.com")
    ours = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ours)
    return context


@pytest.mark.parametrize(
    ("host", "outcome"),
    [
        ("right.example.com", 200),
        ("wrong.example.com", "tls_failed"),
        ("127.0.0.1", "tls_failed"),
    ],
)
def test_believes_a_certificate_for_its_own_name_only(
    host: str, outcome: int | str, trusted: ssl.SSLContext, settings: Settings
) -> None:
    asked_for: list[str] = []
    trusted.sni_callback = lambda _socket, name, _context: asked_for.append(name or "")
    with Receiver(tls=trusted) as receiver, name_server("127.0.0.1") as nameserver:
        settings.OUTBOUND_ALLOWED = [f"{host}:{receiver.port}"]

        assert fetch(f"https://{host}:{receiver.port}/", nameserver=nameserver) == (outcome, ["127.0.0.1"])
        assert len(receiver.requests) == (outcome == 200)
    assert asked_for == [host if host != "127.0.0.1" else ""]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_each_request_on_a_kept_connection_has_a_count_of_its_own(
    scheme: str, trusted: ssl.SSLContext, settings: Settings
) -> None:
    full = respond(200, b"x" * LIMITS.max_bytes)
    with Receiver(full, tls=trusted if scheme == "https" else None) as receiver, name_server("127.0.0.1") as nameserver:
        place = f"right.example.com:{receiver.port}"
        settings.OUTBOUND_ALLOWED = [place]

        assert fetch_again(f"{scheme}://{place}/", nameserver=nameserver, times=10) == ([200] * 10, ["127.0.0.1"])

        receiver.reply = hostile.NOISY["endless interim answers"]
        assert fetch(f"{scheme}://{place}/", nameserver=nameserver)[0] == "response_too_large"
    assert receiver.connections == 2


@pytest.mark.parametrize("kind", hostile.NOISY)
def test_counts_below_tls_too(kind: str, trusted: ssl.SSLContext, settings: Settings) -> None:
    with Receiver(hostile.NOISY[kind], tls=trusted) as receiver, name_server("127.0.0.1") as nameserver:
        place = f"right.example.com:{receiver.port}"
        settings.OUTBOUND_ALLOWED = [place]

        assert fetch(f"https://{place}/", nameserver=nameserver) == ("response_too_large", ["127.0.0.1"])
