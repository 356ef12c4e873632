from collections.abc import Iterator

import pytest

from tests.telephony.engines.listening import Ears, SimulatedEngine
from tests.telephony.engines.real import INSTALLATION, RealEngine

needs_asterisk = pytest.mark.skipif(INSTALLATION is None, reason="no Asterisk here: run 'make engine' as root")


@pytest.fixture(scope="session", params=["simulator", pytest.param("asterisk", marks=needs_asterisk)])
def each_engine(request: pytest.FixtureRequest) -> Iterator[SimulatedEngine | RealEngine]:
    """Each engine that must keep the contract, for all files of the suite."""
    engine = SimulatedEngine() if request.param == "simulator" else RealEngine()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def asterisk(each_engine: SimulatedEngine | RealEngine) -> RealEngine:
    """The engine of the suite that speaks SIP."""
    if not isinstance(each_engine, RealEngine):
        pytest.skip("SIP")
    return each_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[SimulatedEngine]:
    """A simulated engine."""
    simulated = SimulatedEngine()
    yield simulated
    simulated.stop()


@pytest.fixture
def ears(engine: SimulatedEngine) -> Iterator[Ears]:
    with Ears(engine.ari) as listening:
        yield listening
