"""Recordings and bridges where the engine is away, or is not to be trusted with a name."""

import io
import socket
import threading
from collections.abc import Iterator

import pytest

from telephony.engines import ari_events
from telephony.engines.ari import Ari
from telephony.engines.facts import Direction, EngineUnreachable, Kind

CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 100\r\n\r\nRIFF"


@pytest.fixture
def breaking() -> Iterator[Ari]:
    """An engine that breaks off in the middle of a file."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(CUT_SHORT)

    threading.Thread(target=serve, daemon=True).start()
    yield Ari(f"http://127.0.0.1:{server.getsockname()[1]}/ari", "minivoice", "secret")
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_a_file_that_does_not_arrive_whole_is_no_file(breaking: Ari) -> None:
    with pytest.raises(EngineUnreachable):
        breaking.recordings.save("r1", io.BytesIO())


def test_an_answer_that_is_not_a_bridge_is_no_empty_bridge(breaking: Ari) -> None:
    with pytest.raises(EngineUnreachable):
        breaking.bridges.members("b1")


@pytest.mark.parametrize("evil", ["", ".", "..", "../r1", "a/b", "a b", "a?b", "r1\n", "a" * 129])
def test_refuses_a_recording_outside_the_folder_of_recordings(breaking: Ari, evil: str) -> None:
    for command in (breaking.recordings.stop, breaking.recordings.delete):
        with pytest.raises(ValueError, match="not fit"):
            command(evil)
    with pytest.raises(ValueError, match="not fit"):
        breaking.recordings.save(evil, io.BytesIO())
    with pytest.raises(ValueError, match="not fit"):
        breaking.recordings.record_channel("c1", name=evil)


@pytest.mark.parametrize("evil", ["", "a/b", "a b", "b1\n"])
def test_refuses_an_id_that_would_be_another_address(breaking: Ari, evil: str) -> None:
    with pytest.raises(ValueError, match="not fit"):
        breaking.bridges.create(evil)
    with pytest.raises(ValueError, match="not fit"):
        breaking.bridges.add("b1", evil)
    with pytest.raises(ValueError, match="not fit"):
        breaking.snoop("c1", snoop_id=evil, direction=Direction.IN)


def test_a_recording_of_a_bridge_is_told_of_no_channel() -> None:
    event = {
        "type": "RecordingFinished",
        "timestamp": "2026-03-01T01:02:03.456+0000",
        "recording": {"name": "r1", "target_uri": "bridge:b1", "duration": 7},
    }
    fact = ari_events.fact(event)
    assert fact is not None
    assert (fact.kind, fact.channel_id, fact.bridge_id) == (Kind.RECORDED, "", "b1")
    assert (fact.recording, fact.duration_seconds) == ("r1", 7)


@pytest.mark.parametrize("recording", [None, {}, {"name": "r1"}, {"name": "r1", "target_uri": 7}])
def test_a_recording_without_its_parts_is_one_kind_of_error(recording: object) -> None:
    event = {"type": "RecordingStarted", "timestamp": "2026-03-01T01:02:03.456+0000", "recording": recording}
    with pytest.raises(ValueError, match="without its parts"):
        ari_events.fact(event)
