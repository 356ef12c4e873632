"""The adapter where the engine is not there, not well, or not to be trusted with what it is given."""

import asyncio
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from telephony.engines import ari_events
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, ChannelGone, EngineUnreachable, Kind
from tests.telephony.engines.listening import Ears, SimulatedEngine, order, until

Say = Callable[[dict[str, Any]], list[dict[str, Any] | str]]


@pytest.fixture
def nowhere() -> Ari:
    """An engine that is not running."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    return Ari(f"http://127.0.0.1:{port}/ari", "minivoice", "secret")


@pytest.fixture
def resetting() -> Iterator[Ari]:
    """An engine that reads a request and closes the connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.recv(65536)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield Ari(f"http://127.0.0.1:{server.getsockname()[1]}/ari", "minivoice", "secret")
    server.close()


def test_an_engine_that_is_down_has_refused(nowhere: Ari) -> None:
    assert order(nowhere, "c1", "+15551230002") is Answer.REFUSED


def test_an_engine_that_hangs_up_on_us_is_unclear(resetting: Ari) -> None:
    assert order(resetting, "c1", "+15551230002") is Answer.UNCLEAR


def test_an_engine_that_is_down_is_unreachable(nowhere: Ari) -> None:
    for command in (nowhere.ping, nowhere.channels, lambda: nowhere.hang_up("c1")):
        with pytest.raises(EngineUnreachable):
            command()
    with Ears(nowhere) as ears:
        assert isinstance(ears.error, EngineUnreachable)


def test_a_wrong_password_is_refused_and_never_shown(engine: SimulatedEngine) -> None:
    stranger = Ari(engine.url, "minivoice", "guess-canary")
    assert order(stranger, "c1", "+15551230002") is Answer.REFUSED
    with pytest.raises(EngineUnreachable, match="401") as refused:
        stranger.channels()
    with Ears(stranger) as ears:
        assert isinstance(ears.error, EngineUnreachable)
    assert "guess-canary" not in f"{refused.value} {ears.error}"


def test_the_engine_answers_a_ping(engine: SimulatedEngine) -> None:
    engine.ari.ping()
    with pytest.raises(ChannelGone):
        engine.ari.answer(str(uuid.uuid4()))


def test_an_engine_whose_clock_cannot_be_read_is_not_reached_properly() -> None:
    with scripted(lambda request: [answer(request)]) as ari, Ears(ari):
        until(lambda: ari.is_over_socket)
        with pytest.raises(EngineUnreachable):
            ari.now()


@pytest.mark.parametrize("evil", ["1\r\nX: y", "1\n", "${SHELL(id)}", '"a" <1>', "{b=c}", "1,2", "1&2", "1 2", "٣"])
def test_refuses_text_that_has_no_place_in_a_header_or_a_dialplan(nowhere: Ari, evil: str) -> None:
    fit = {"channel_id": "c1", "endpoint": "PJSIP/1@t", "caller_id": "1", "context": "out"}
    for name, value in [
        ("endpoint", f"PJSIP/{evil}@t"),
        ("caller_id", evil),
        ("context", evil),
        ("channel_id", evil),
    ]:
        with pytest.raises(ValueError, match="not fit"):
            nowhere.originate(**(fit | {name: value}), variables={}, setup_seconds=5)
    with pytest.raises(ValueError, match="not fit"):
        nowhere.originate(**fit, variables={evil: "1"}, setup_seconds=5)
    with pytest.raises(ValueError, match="not fit"):
        nowhere.hang_up(f"../{evil}")


@pytest.mark.parametrize("evil", ["1\r\nX: y", "${SHELL(id)}", '"', "{b}", "1,2"])
def test_refuses_a_variable_that_would_be_read_as_something_else(nowhere: Ari, evil: str) -> None:
    with pytest.raises(ValueError, match="not fit"):
        nowhere.originate(
            channel_id="c1",
            endpoint="PJSIP/1@t",
            caller_id="1",
            context="out",
            variables={"A": evil},
            setup_seconds=5,
        )


def test_speech_may_say_anything(engine: SimulatedEngine, ears: Ears) -> None:
    channel_id, playback_id = "speaks", str(uuid.uuid4())
    order(engine.ari, channel_id, "+15551230002")
    ears.wait_for(channel_id, Kind.ENTERED)
    engine.ari.play(channel_id, playback_id=playback_id, media=['say:«{$1,000}»\r\n"Hi"'])
    assert ears.wait_for(channel_id, Kind.PLAYED).playback_id == playback_id
    engine.ari.hang_up(channel_id)


def test_refuses_media_that_asterisk_would_take_and_never_speak_of_again(nowhere: Ari) -> None:
    for media in ("tts:hello", "http://127.0.0.1/a.wav", "sound:a,b", "say:"):
        with pytest.raises(ValueError, match="not fit"):
            nowhere.play("c1", playback_id="p1", media=[media])


@pytest.mark.parametrize(
    ("parts", "is_told"),
    [
        ({"soft": True, "cause": 32}, True),  # by us
        ({}, True),  # by the far end
        ({"cause": 17, "tech_cause": 486}, True),  # a refusal
        ({"soft": True, "cause": 16}, False),  # the dialplan is over, whoever ended the call: also the timer
    ],
)
def test_a_hangup_is_told_when_somebody_asked_for_it(parts: dict[str, object], is_told: bool) -> None:
    event = {
        "type": "ChannelHangupRequest",
        "timestamp": "2026-03-01T01:02:03.456+0000",
        "channel": {"id": "c1"},
        **parts,
    }
    assert (ari_events.fact(event) is not None) is is_told


def test_a_timestamp_is_the_engines_in_utc_milliseconds() -> None:
    event = {"type": "StasisStart", "timestamp": "2026-03-01T01:02:03.456+0200", "channel": {"id": "c1"}}
    fact = ari_events.fact(event)
    assert fact is not None
    assert fact.at.isoformat() == "2026-02-28T23:02:03.456000+00:00"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        b"\xff",
        "[]",
        '{"type": null}',
        '{"type": "StasisStart", "timestamp": "2026-03-01T01:02:03.456+0000", "channel": {"id": 7}}',
        '{"type": "StasisStart", "timestamp": "yesterday", "channel": {"id": "c1"}}',
        '{"type": "ChannelDestroyed", "timestamp": "2026-03-01T01:02Z", "channel": {"id": "c"}, "cause": []}',
        '{"type": "ChannelDestroyed", "timestamp": "2026-03-01T01Z", "channel": {"id": "c"}, "cause": 1e999}',
        "[" * 100_000,
    ],
)
def test_a_frame_that_makes_no_sense_is_one_kind_of_error(frame: str | bytes) -> None:
    with pytest.raises(ValueError):
        ari_events.fact(ari_events.parse(frame))


def test_an_event_we_do_not_use_says_nothing() -> None:
    assert ari_events.fact({"type": "ChannelVarset", "variable": "A"}) is None


def test_an_engine_that_accepts_and_never_answers_is_unclear_within_its_time(engine: SimulatedEngine) -> None:
    engine.control("faults", {"originate": "hang"})
    started = time.monotonic()
    assert order(engine.ari, "hung", "+15551230002") is Answer.UNCLEAR
    assert 2.5 < time.monotonic() - started < 4.5
    assert engine.records(id="hung") == []


def test_an_engine_that_takes_no_requests_over_its_socket_is_commanded_over_http() -> None:
    with scripted(lambda _: []) as ari, Ears(ari):
        with pytest.raises(EngineUnreachable, match="426"):  # what the script says to HTTP
            ari.ping()
        assert not ari.is_over_socket


def test_an_answer_nobody_can_read_is_counted_and_the_next_one_heard() -> None:
    broken = ['{"type": "RESTResponse"}', '{"type": "RESTResponse", "request_id": "1", "status_code": null}', "{"]
    with scripted(lambda request: [*broken, answer(request)]) as ari, Ears(ari):
        until(lambda: ari.is_over_socket)
        assert ari.malformed_count == 3
        ari.ping()
        assert ari.malformed_count == 6


def test_answers_may_come_in_any_order_and_those_to_nobody_are_ignored() -> None:
    waiting: list[dict[str, Any]] = []

    def say(request: dict[str, Any]) -> list[dict[str, Any] | str]:
        if request["request_id"] == "greeting":
            return [answer(request)]
        waiting.append(request)
        if len(waiting) < 2:
            return []
        return [answer({"request_id": "nobody's", "uri": ""}), *(variable(asked) for asked in reversed(waiting))]

    with scripted(say) as ari, Ears(ari), ThreadPoolExecutor() as pool:
        until(lambda: ari.is_over_socket)
        told = pool.map(lambda name: ari.get_variable("c1", name), ["A", "B"])
        assert list(told) == ["A", "B"]


def test_a_socket_that_has_said_in_use_once_says_nothing_certain_of_what_was_sent_before() -> None:
    waiting: list[dict[str, Any]] = []

    def say(request: dict[str, Any]) -> list[dict[str, Any] | str]:
        if request["request_id"] == "greeting":
            return [answer(request)]
        waiting.append(request)
        return [answer(asked, status=409) for asked in waiting] if len(waiting) == 2 else []

    with scripted(say) as ari, Ears(ari), ThreadPoolExecutor() as pool:
        until(lambda: ari.is_over_socket)
        asked = [pool.submit(order, ari, channel_id, "+15551230002") for channel_id in ("c1", "c2")]
        assert sorted(answered.result() for answered in asked) == [Answer.TAKEN, Answer.UNCLEAR]
        order(ari, "c3", "+15551230002")
        assert len(waiting) == 2  # it went over HTTP


def test_an_answer_that_never_comes_over_the_socket_is_waited_for_three_seconds() -> None:
    with scripted(lambda request: [answer(request)] if request["request_id"] == "greeting" else []) as ari, Ears(ari):
        until(lambda: ari.is_over_socket)
        started = time.monotonic()
        with pytest.raises(EngineUnreachable):
            ari.ping()
        assert 2.5 < time.monotonic() - started < 4.5


def test_a_command_from_the_loop_that_reads_the_socket_is_a_mistake_and_no_deadlock(engine: SimulatedEngine) -> None:
    async def listen() -> None:
        async for _ in engine.ari.facts(on_connect=engine.ari.ping):
            pass

    with pytest.raises(RuntimeError, match="cannot wait"):
        asyncio.run(listen())


@contextmanager
def scripted(say: Say) -> Iterator[Ari]:
    """An engine with an event socket and nothing else, which answers each request as `say` says."""

    def talk(connection: ServerConnection) -> None:
        try:
            for frame in connection:
                for said in say(json.loads(frame)):
                    connection.send(said if isinstance(said, str) else json.dumps(said))
        except ConnectionClosed:
            pass

    with serve(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Ari(f"http://127.0.0.1:{server.socket.getsockname()[1]}/ari", "minivoice", "secret")
        server.shutdown()


def answer(request: dict[str, Any], *, status: int = 200, text: str = "") -> dict[str, Any]:
    return {
        "type": "RESTResponse",
        "request_id": request["request_id"],
        "status_code": status,
        "uri": request["uri"],
        "message_body": text,
    }


def variable(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one who asks for a variable: its name."""
    return answer(request, text=json.dumps({"value": request["query_strings"][0]["value"]}))
