"""The link to the engine."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from telephony import link
from telephony.engines.ari import Ari
from telephony.models import Engine

THREADS = 4


def test_threads_that_ask_at_the_same_time_get_one_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Engine(url="http://127.0.0.1:1/ari", user="user", password="password")
    starts, second_builds = threading.Barrier(THREADS), threading.Event()
    built: list[Ari] = []

    def build(*how: Any, **more: Any) -> Ari:
        built.append(Ari(*how, **more))
        if len(built) > 1:
            second_builds.set()
        second_builds.wait(0.5)  # time for a second thread to come in, if it can
        return built[-1]

    def ask(_: int) -> Ari:
        starts.wait(5)
        return link.adapter()

    monkeypatch.setattr(link, "engine", lambda: row)
    monkeypatch.setattr(link, "Ari", build)
    link._adapter.cache_clear()
    with ThreadPoolExecutor(THREADS) as threads:
        adapters = set(threads.map(ask, range(THREADS)))
    link._adapter.cache_clear()

    assert len(adapters) == len(built) == 1
