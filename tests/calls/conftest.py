"""What tests of calls share: an engine that answers as told."""

from datetime import datetime

import pytest

from minivoice import clock
from telephony import link
from tests import factories
from tests.calls.recordings.tape import Tape


@pytest.fixture(autouse=True)
def _nobody_dials(nobody_dials: None) -> None:
    """Creates answer at once."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """The engine at the edge: it takes every call unless told otherwise."""
    fake = Tape()
    monkeypatch.setattr(link, "adapter", lambda: fake)
    return fake


@pytest.fixture
def now() -> datetime:
    """The moment the test begins."""
    return clock.now()


@pytest.fixture
def second_trunk(world: None) -> None:
    """A platform trunk to go to when the first refuses."""
    factories.TrunkFactory(name="Second carrier", priority=20)
