"""The world of calls that dial others: acme's number, and an engine in miniature."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from telephony import link
from telephony.models import Number
from tests import factories
from tests.calls.exchange import NETWORK, Exchange, Hall
from tests.conftest import Actor


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """The engine at the edge."""
    engine = Exchange()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    return engine


@pytest.fixture
def hall(audited: None, acme: Actor, exchange: Exchange) -> Iterator[Hall]:
    """The switchboard's place. Calls come in for acme's number, +15551230001, at 0.12 a minute."""
    factories.TrunkFactory(gateway_name=NETWORK, direction="both", priority=99)
    acme.application.answer_url = "https://example.test/answer"
    acme.application.save()
    Number.objects.update(inbound_price_per_minute=Decimal("0.12"))
    hall = Hall(exchange)
    yield hall
    hall.close()
