from collections.abc import Iterator

import pytest

from tests.telephony.engines.listening import Ears, SimulatedEngine


@pytest.fixture
def engine() -> Iterator[SimulatedEngine]:
    """A network of one's own: faults stay in the test that asked for them."""
    simulated = SimulatedEngine()
    yield simulated
    simulated.stop()


@pytest.fixture
def ears(engine: SimulatedEngine) -> Iterator[Ears]:
    with Ears(engine.ari) as listening:
        yield listening
