from collections.abc import Iterator

import pytest

from tests.telephony.engines.listening import Ears, SimulatedEngine


@pytest.fixture(scope="module", params=["simulator"])
def engine() -> Iterator[SimulatedEngine]:
    """Each engine that must keep the contract."""
    simulated = SimulatedEngine()
    yield simulated
    simulated.stop()


@pytest.fixture
def ears(engine: SimulatedEngine) -> Iterator[Ears]:
    with Ears(engine.ari) as listening:
        yield listening
