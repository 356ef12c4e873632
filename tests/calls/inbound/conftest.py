"""The world of calls that come in: a platform trunk, and acme's number."""

from decimal import Decimal

import pytest

from telephony.models import Number, Trunk
from tests import factories
from tests.calls.inbound.callers import PLATFORMS
from tests.conftest import Actor


@pytest.fixture(autouse=True)
def wholesale(world: None) -> Trunk:
    """A platform trunk that calls come in by."""
    return factories.TrunkFactory(gateway_name=PLATFORMS, direction="both", priority=99)


@pytest.fixture
def number(acme: Actor) -> Number:
    """acme's number, at 0.12 a minute, 60/60."""
    row = Number.objects.get(customer=acme.customer)
    row.inbound_price_per_minute = Decimal("0.12")
    row.save()
    return row
