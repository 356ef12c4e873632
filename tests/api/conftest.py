"""What tests of the whole API share: nothing is looked up, nobody dials, and the engine records what it is asked to."""

import pytest

from telephony import link
from tests.calls.recordings.tape import Tape
from tests.telephony.conftest import names

__all__ = ["names"]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """The engine."""
    engine = Tape()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    return engine
