"""What tests of calls share: an engine that answers as told."""

import pytest

from telephony import link
from tests.calls.steps import FakeEngine


@pytest.fixture(autouse=True)
def _nobody_dials(nobody_dials: None) -> None:
    """Creates answer at once."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine at the edge: it takes every call unless told otherwise."""
    fake = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: fake)
    return fake
