import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minivoice.local import sockets
from minivoice.local.postgres import Postgres
from minivoice.local.supervisor import Supervisor


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder, with spaces and an accent in its path."""
    folder = tmp_path / "a path with späces"
    folder.mkdir()
    yield folder
    Postgres(state=folder).remove()
    sockets.remove(folder)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(state: Path, said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(logs=state / "logs", say=said.append)
    yield supervisor
    supervisor.stop()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds; fail after fifteen seconds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)

    return wait
