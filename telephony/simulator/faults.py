"""What goes wrong on request. Only the control API sets it; each fault is used up by what it hits."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Fault:
    """Something that goes wrong the next `count` times."""

    what: str
    count: int
    event: str = ""  # only events of this type; all when empty
    seconds: float = 2.0  # how slow

    def strikes(self, event: str = "") -> bool:
        """Say whether it strikes now, and count that."""
        if self.count <= 0 or (self.event and self.event != event):
            return False
        self.count -= 1
        return True


@dataclass(slots=True)
class Faults:
    """All that is wrong at present."""

    originate: Fault = field(default_factory=lambda: Fault("none", 0))
    events: Fault = field(default_factory=lambda: Fault("none", 0))

    def clear(self) -> None:
        """Let everything work again."""
        self.originate = Fault("none", 0)
        self.events = Fault("none", 0)
