"""What the simulated network does wrong on request, and nothing else."""

import time
import uuid

import pytest
import requests

from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, EngineUnreachable, Kind
from tests.telephony.engines.listening import Ears, SimulatedEngine, answers, dial, order, until

NUMBER = "+15551230002"


def test_refuses_as_many_originates_as_asked(engine: SimulatedEngine) -> None:
    engine.control("faults", {"originate": "refuse", "count": 2})
    answers = [order(engine.ari, str(uuid.uuid4()), NUMBER) for _ in range(3)]
    assert answers == [Answer.REFUSED, Answer.REFUSED, Answer.TAKEN]
    assert len(engine.records()) == 1


def test_takes_a_call_and_drops_the_answer(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"originate": "drop_answer"})
    assert order(Ari(engine.url, "minivoice", "secret"), "c1", NUMBER) is Answer.UNCLEAR
    ears.wait_for("c1", Kind.ENTERED)
    assert [record["times_rung"] for record in engine.records(id="c1")] == [1]


def test_answers_slowly(engine: SimulatedEngine) -> None:
    engine.control("faults", {"originate": "slow", "seconds": 0.5})
    started = time.monotonic()
    assert order(engine.ari, "c1", NUMBER) is Answer.TAKEN
    assert time.monotonic() - started >= 0.5


def test_loses_an_event(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"events": "lose", "type": "StasisStart"})
    lost, heard = dial(engine.ari, NUMBER), dial(engine.ari, NUMBER)
    ears.wait_for(heard, Kind.ENTERED)
    assert Kind.ENTERED not in ears.kinds(lost)
    assert {channel.id: channel.entered for channel in engine.ari.channels()}[lost] is True


def test_repeats_an_event(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"events": "repeat", "type": "StasisStart"})
    channel_id = dial(engine.ari, NUMBER)
    assert ears.wait_for(channel_id, Kind.ENTERED).at == ears.wait_for(channel_id, Kind.ENTERED, count=2).at


def test_reorders_events(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"events": "reorder", "type": "ChannelStateChange"})
    channel_id = dial(engine.ari, "+15551230183")
    ears.wait_for(channel_id, Kind.ANSWERED, count=2)
    types = [fact.raw["type"] for fact in ears.of(channel_id)]
    assert types == ["Dial", "Dial", "StasisStart", "ChannelStateChange"]


def test_an_event_held_back_comes_in_the_end(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"events": "reorder", "type": "ChannelDestroyed"})
    channel_id = dial(engine.ari, "+15551230486")
    ears.wait_for(channel_id, Kind.ENDED)


def test_garbage_is_counted_and_passed_over(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"events": "garbage", "count": 12})
    channel_id = dial(engine.ari, NUMBER)
    ears.wait_for(channel_id, Kind.ENTERED)
    assert engine.ari.malformed_count == 12


def test_restarts_empty_without_a_word_and_remembers_who_was_dialled(engine: SimulatedEngine, ears: Ears) -> None:
    channel_id = dial(engine.ari, NUMBER)
    ears.wait_for(channel_id, Kind.ENTERED)
    engine.control("faults", {"restart": "empty"})
    ears.wait(lambda: ears.error, what="end of the listening")
    assert isinstance(ears.error, EngineUnreachable)
    until(lambda: answers(engine.ari))
    assert engine.ari.channels() == []
    assert Kind.ENDED not in ears.kinds(channel_id)
    assert [record["id"] for record in engine.records()] == [channel_id]


def test_the_record_tells_how_often_an_id_was_dialled_and_rang(engine: SimulatedEngine, ears: Ears) -> None:
    for count in (1, 2):
        assert order(engine.ari, "c1", "+15551230900") is Answer.TAKEN
        ears.wait_for("c1", Kind.ENDED, count=count)
    (record,) = engine.records(number="+15551230900")
    assert (record["id"], len(record["dialled_at"]), record["times_rung"]) == ("c1", 2, 2)
    assert (record["cause"], record["sip_code"]) == (0, None)
    assert record["answered_at"] <= record["ended_at"]


def test_the_far_end_presses_and_hangs_up_on_request(engine: SimulatedEngine, ears: Ears) -> None:
    channel_id = dial(engine.ari, NUMBER)
    ears.wait_for(channel_id, Kind.ENTERED)
    engine.control("digits", {"channel_id": channel_id, "digits": "1*"})
    engine.control("digits", {"channel_id": channel_id, "digits": "#"})
    ears.wait_for(channel_id, Kind.DIGIT, count=3)
    assert "".join(fact.digit for fact in ears.of(channel_id)) == "1*#"
    engine.control("hangup", {"channel_id": channel_id})
    assert ears.wait_for(channel_id, Kind.ENDED).cause == 0


def test_trunks_come_and_go(engine: SimulatedEngine) -> None:
    engine.control("trunks", {"refused": ["carrier"]})
    assert order(engine.ari, "c1", NUMBER) is Answer.REFUSED
    engine.control("trunks", {"refused": []})
    assert order(engine.ari, "c1", NUMBER) is Answer.TAKEN


def test_health_says_who_listens(engine: SimulatedEngine) -> None:
    assert engine.health() == {"status": "ok", "live_channels": 0, "listening": False}
    with Ears(engine.ari):
        assert engine.health()["listening"] is True
    until(lambda: not engine.health()["listening"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("faults", '{"originate": "explode"}', 400),
        ("faults", "[]", 400),
        ("faults", "{", 400),
        ("hangup", '{"channel_id": "gone"}', 404),
        ("digits", "{}", 404),
    ],
)
def test_refuses_what_makes_no_sense(engine: SimulatedEngine, path: str, body: str, status: int) -> None:
    address = f"http://127.0.0.1:{engine.port}/simulator/{path}"
    response = requests.post(address, data=body, headers={"Content-Type": "application/json"}, timeout=5)
    assert response.status_code == status


def test_a_web_page_cannot_ask_for_faults(engine: SimulatedEngine) -> None:
    address = f"http://127.0.0.1:{engine.port}/simulator/faults"
    assert requests.post(address, data='{"restart": "empty"}', timeout=5).status_code == 415
