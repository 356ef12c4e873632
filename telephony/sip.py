"""The texts of trunks and numbers that reach SIP or the engine, and what they are made of.

Narrow on purpose: no line break, brace, comma or `${` passes, whatever the text is written into later.
"""

import re
from typing import NamedTuple

PORT = 5060
LONGEST_TARGET = 255

# What each text of a trunk is made of, as a whole.
PATTERNS = {
    "username": r"[A-Za-z0-9._+@=-]{1,100}",
    "password": r"[!-+\--z|~]{1,128}",  # printable ASCII but comma, braces and blanks
    "realm": r"[A-Za-z0-9._@-]+( [A-Za-z0-9._@-]+)*",
    "from_domain": r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?",
    "gateway_name": r"[A-Za-z0-9_-]{1,64}",
}


class Place(NamedTuple):
    """A host, in lower case and without brackets, and the port that is named with it, if one is."""

    host: str
    port: int | None

    @property
    def sip_port(self) -> int:
        """The port that is meant."""
        return self.port or PORT


def place(text: str) -> Place:
    """Return the place that `host` or `host:port` names; IPv6 addresses stand in brackets. Raises ValueError."""
    found = _PLACE.match(text)
    if found is None:
        raise ValueError("not a host or host:port")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("not a port")
    return Place((found["address"] or found["name"]).lower().removesuffix("."), port)


def is_target(text: str) -> bool:
    """Whether a text is a SIP URI that may be dialled, over a trunk that leads there, and is kept as it is."""
    try:
        target_place(text)
    except ValueError:
        return False
    return len(text) <= LONGEST_TARGET


def target_place(uri: str) -> Place:
    """Return where `sip:user@host` or `sip:user@host:port` leads. Raises ValueError for any other text."""
    found = _TARGET.match(uri)
    if found is None:
        raise ValueError("not a SIP URI")
    return place(found["place"])


_PLACE = re.compile(
    r"\A(?:\[(?P<address>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?\Z"
)
_TARGET = re.compile(r"\Asip:[A-Za-z0-9._+-]{1,64}@(?P<place>.+)\Z")
