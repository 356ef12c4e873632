"""What tests of the whole API share: nothing is looked up, and nobody dials."""

from tests.telephony.conftest import names

__all__ = ["names"]
