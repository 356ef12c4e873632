"""How large a measurement is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Rounds of so many seconds each, over so many connections, in a world of so many rows; for `memory`, how many
    calls are up, for how long before it measures and while it does; for `deliver`, how many events a round has; for
    `lists`, how many calls there are.
    """

    rounds: int = 3
    seconds: int = 6
    connections: int = 16
    customers: int = 1_000
    rates: int = 250_000
    calls: int = 1_000
    settle_seconds: int = 60
    talk_seconds: int = 180
    events: int = 10_000
    listed: int = 500_000
