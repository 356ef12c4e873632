"""A phone that hums, so that what the engine hears of a far end can be told by its tone."""

from tests.telephony.engines.phone import Phone

HUM = 440  # Hz; the simulated callees' too


class HummingPhone(Phone):
    """Answers at once, and hums until it is put away."""

    def __init__(self) -> None:
        super().__init__(hertz=HUM)
