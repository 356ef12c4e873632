"""Redis as a doorbell, on a real Valkey and on one that is not there."""

import os
import socket
import threading
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app

from minivoice import nudge
from tests.stillness import Stopwatch


@pytest.fixture
def topic() -> str:
    return f"test:{uuid4()}"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of tasks that were sent to the broker."""
    names: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: names.append(name))
    return names


@pytest.fixture
def redis_is_away(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Nothing listens where Redis should be."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(nudge, "_redis", nudge._connect())
    monkeypatch.setattr(nudge, "_quiet_until", 0.0)


def test_nudges_that_meet_become_one_until_a_worker_starts(sent: list[str], topic: str) -> None:
    assert nudge.wake(topic)
    assert nudge.wake(topic)
    assert sent == [topic]

    nudge.woken(topic)

    assert nudge.wake(topic)
    assert sent == [topic, topic]


def test_tells_a_word_to_whoever_waits(topic: str) -> None:
    threading.Timer(0.05, nudge.tell, (topic, "taken")).start()

    assert nudge.wait(topic, 5) == "taken"


def test_a_word_told_early_is_kept_for_a_moment(topic: str) -> None:
    nudge.tell(topic, "refused")

    assert nudge.wait(topic, 1) == "refused"


def test_waits_no_longer_than_asked(topic: str) -> None:
    with Stopwatch() as watch:
        assert nudge.wait(topic, 0.05) is None
        assert watch.seconds < 1


def test_waits_for_a_word_through_several_pieces(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = nudge._connect()
    patient.connection_pool.connection_kwargs["socket_timeout"] = 20.0  # a Redis of a busy machine is none that freezes
    monkeypatch.setattr(nudge, "_redis", patient)
    threading.Timer(1.2, nudge.tell, (topic, "taken")).start()

    assert nudge.wait(topic, 5) == "taken"


def test_gives_up_a_redis_that_freezes_while_it_waits(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A server that takes connections and never answers is what a frozen one looks like."""
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "frozen"))
        frozen.listen()
        settings.REDIS_URL = f"unix://{tmp_path}/frozen"
        monkeypatch.setattr(nudge, "_redis", nudge._connect())
        monkeypatch.setattr(nudge, "_quiet_until", 0.0)

        with Stopwatch() as watch:
            assert nudge.wait(topic, 10) is None
            assert watch.seconds < 2
            assert nudge.wait(topic, 10) is None  # nudges pause: it is not even asked
            assert watch.seconds < 2.5


def test_a_lost_redis_is_an_answer_not_an_error(redis_is_away: None, sent: list[str], topic: str) -> None:
    assert nudge.wake(topic) is False
    assert nudge.wait(topic, 1) is None
    assert nudge.answers() is False
    nudge.woken(topic)
    nudge.tell(topic, "taken")
    assert sent == []


def test_nudges_pause_after_a_failure(
    sent: list[str], redis_is_away: None, topic: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    nudge.wake(topic)
    settings.REDIS_URL = os.environ["REDIS_URL"]
    monkeypatch.setattr(nudge, "_redis", nudge._connect())

    assert nudge.wake(topic) is False

    monkeypatch.setattr(nudge, "_quiet_until", monotonic())
    assert nudge.wake(topic) is True
    assert sent == [topic]
