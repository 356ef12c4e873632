"""The world of calls that come in and dial others, as the tests of legs have it."""

from tests.calls.legs.conftest import exchange, hall

__all__ = ["exchange", "hall"]
