from collections.abc import Callable

import pytest

from minivoice.local.stack import Platform
from tests.journeys.crowd import Crowd
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator


@pytest.fixture
def crowd(hire: Callable[..., Integrator], receiver: Receiver, platform: Platform) -> Crowd:
    """A customer with many calls, on the engine that runs here."""
    return Crowd(hire(answer="/talk"), receiver, platform)
