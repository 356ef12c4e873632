"""Names of channels. Those that we dial have an id of ours for a name; the engine names those that come in."""

import re
from uuid import UUID, uuid5

_OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_THE_ENGINES = UUID("5f0f6a5e-9d3c-4f3b-8a51-0d2c6b1e7a90")


def key(name: str) -> UUID:
    """Return the id by which an attempt is found, for the name of its channel on the engine."""
    return UUID(name) if _OURS.fullmatch(name) else uuid5(_THE_ENGINES, name)
