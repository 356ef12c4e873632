"""What tests of trunks share: name servers that say what a test tells them."""

from typing import Any

import pytest

from minivoice import outbound
from tests.conftest import Actor


class Names:
    """Name servers: `told` maps a name to its addresses, any other has none."""

    told: dict[str, list[str]]

    async def __call__(self, name: str, /) -> list[str]:
        if name not in self.told:
            raise outbound.Failure("dns_failed", name)
        return self.told[name]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the name servers know; changed by a test."""
    told = {"sip.acme.example": ["8.8.4.4"], "carrier.example": ["9.9.9.9"]}
    monkeypatch.setattr(Names, "told", told, raising=False)
    monkeypatch.setattr(outbound, "SystemLookup", Names)
    return told


@pytest.fixture
def acme_trunk(names: dict[str, list[str]], acme: Actor) -> dict[str, Any]:
    """A trunk that acme made, as the API showed it."""
    response = acme.client().post("/v1/trunks", {"name": "Acme", "proxy": "sip.acme.example"}, format="json")
    assert response.status_code == 201
    made: dict[str, Any] = response.json()
    return made
