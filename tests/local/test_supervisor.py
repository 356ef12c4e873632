"""The supervisor behind `make run`, with real processes."""

import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from minivoice.local import supervisor as module
from minivoice.local.supervisor import Cancelled, Process, StartFailed, Supervisor
from minivoice.local.watcher import living
from tests.local.driver import stubborn

Eventually = Callable[[Callable[[], object]], None]


def program(name: str, code: str, state: Path) -> Process:
    return Process(name=name, argv=[sys.executable, "-I", "-S", "-c", code], environment={"A": "b"}, folder=state)


def sleeper(state: Path, name: str = "sleeper") -> Process:
    return program(name, "import time; time.sleep(3600)", state)


def alive(pid: int) -> bool:
    return pid in living()


def test_starts_a_dead_process_again_and_says_so(
    supervisor: Supervisor, state: Path, said: list[str], eventually: Eventually
) -> None:
    supervisor.start(sleeper(state))
    killed = supervisor.kill("sleeper")
    eventually(lambda: supervisor.pids["sleeper"] != killed)
    assert alive(supervisor.pids["sleeper"])
    assert said == ["sleeper died of SIGKILL, starting it again."]
    assert said[0] in (state / "logs" / "supervisor.log").read_text()


def test_tells_when_the_pids_have_changed(state: Path, eventually: Eventually) -> None:
    seen: list[dict[str, int]] = []
    supervisor = Supervisor(logs=state / "logs", say=lambda _: None, changed=lambda: seen.append(supervisor.pids))
    try:
        supervisor.start(sleeper(state))
        killed = supervisor.kill("sleeper")
        eventually(lambda: seen)
        assert seen[0]["sleeper"] not in (killed, 0)
    finally:
        supervisor.stop()


def test_waits_longer_each_time_a_process_dies_at_once(
    supervisor: Supervisor, state: Path, eventually: Eventually
) -> None:
    code = "import time; print(time.monotonic(), flush=True); raise SystemExit(3)"
    supervisor.start(program("crasher", code, state))
    log = state / "logs" / "crasher.log"
    eventually(lambda: len(log.read_text().splitlines()) >= 4)
    starts = [float(line) for line in log.read_text().splitlines()]
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    # Each for itself: beside its pause one may take any time to begin.
    assert [pause >= wanted for pause, wanted in zip(pauses, (0.2, 0.5, 1.0), strict=False)] == [True] * 3
    assert pauses[0] < pauses[2]


def test_ends_the_children_of_a_process_that_died(supervisor: Supervisor, state: Path, eventually: Eventually) -> None:
    supervisor.start(stubborn(state))
    grandchild = int((state / "grandchild").read_text())
    supervisor.kill("stubborn")
    eventually(lambda: not alive(grandchild))


def test_refuses_a_start_that_ends_early_with_the_end_of_its_log(supervisor: Supervisor, state: Path) -> None:
    failing = program("failing", "raise SystemExit('no such table')", state)
    with pytest.raises(StartFailed, match=r"(?s)failing ended with status 1.*failing\.log.*no such table"):
        supervisor.run(failing)
    never = Process(name="early", argv=failing.argv, environment={}, folder=state, ready=lambda: False)
    with pytest.raises(StartFailed, match=r"(?s)early ended with status 1.*no such table"):
        supervisor.start(never)


def test_gives_up_on_a_process_that_is_never_ready(supervisor: Supervisor, state: Path) -> None:
    never = Process(name="never", argv=sleeper(state).argv, environment={}, folder=state, ready=lambda: False)
    with pytest.raises(StartFailed, match="never was not ready in time"):
        supervisor.start(never, timeout_seconds=0.2)


def test_calls_off_a_start(supervisor: Supervisor, state: Path) -> None:
    supervisor.cancel()
    with pytest.raises(Cancelled):
        supervisor.run(sleeper(state))


def test_returns_what_a_command_printed_and_gives_it_only_its_own_environment(
    supervisor: Supervisor, state: Path
) -> None:
    code = "import os, sys; print(sys.stdin.read(), os.environ['A'], os.environ.get('HOME'), os.getcwd())"
    assert supervisor.run(program("asks", code, state)) == f" b None {state}\n"


def test_stops_the_last_started_first(state: Path) -> None:
    ends = state / "ends"
    code = """
import signal, sys, time
def end(number, frame):
    with open("ends", "a") as file:
        print({name!r}, file=file)
    sys.exit()
signal.signal(signal.SIGTERM, end)
open({name!r}, "w").close()
time.sleep(3600)
"""
    supervisor = Supervisor(logs=state / "logs", say=lambda _: None)
    for name in ("store", "web"):
        process = program(name, code.format(name=name), state)
        supervisor.start(Process(**{**vars(process), "ready": (state / name).exists}))
    supervisor.stop()
    assert ends.read_text().split() == ["web", "store"]


def test_kills_the_whole_group_of_a_process_that_does_not_stop(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.3)
    supervisor = Supervisor(logs=state / "logs", say=lambda _: None)
    supervisor.start(stubborn(state))
    pids = [supervisor.pids["stubborn"], int((state / "grandchild").read_text())]
    supervisor.stop()
    assert [pid for pid in pids if alive(pid)] == []


def test_does_without_a_killed_watcher(supervisor: Supervisor, state: Path, eventually: Eventually) -> None:
    supervisor.start(sleeper(state))
    first = supervisor._watcher
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: supervisor._watcher is not first)
    assert supervisor._watcher.poll() is None
