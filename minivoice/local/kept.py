"""What is chosen once for a state folder and kept there: secrets and ports."""

import base64
import json
import os
import random
import secrets
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

_PORTS = range(20000, 32000)  # below those the system hands out to outgoing connections
_given: set[int] = set()  # by this process: whoever was given one may not listen yet, or be about to start again
_SECRETS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "FIELD_KEYS": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),  # a Fernet key
    "ENGINE_PASSWORD": lambda: secrets.token_urlsafe(24),
    "PLAYGROUND_SECRET": lambda: secrets.token_urlsafe(24),
    "CONSOLE_PASSWORD": lambda: secrets.token_urlsafe(12),
    "DEMO_API_KEY": lambda: f"mv_live_{secrets.token_urlsafe(32)}",
}


def keep_secrets(state: Path) -> dict[str, str]:
    """Return the secrets of the state folder `state`, by variable name; missing ones are made."""
    kept = _read(state / "secrets.json")
    found = {name: kept.get(name) or make() for name, make in _SECRETS.items()}
    if found != kept:
        write(state / "secrets.json", found)
    return found


def keep_ports(state: Path, names: Iterable[str]) -> dict[str, int]:
    """Return a free port for each name: the one it had in the last run, unless that is taken now. No two are one."""
    kept = {name: int(port) for name, port in _read(state / "ports.json").items()}
    _given.update(kept.values())
    found: dict[str, int] = {}
    for name in names:
        port = kept.get(name, 0)
        found[name] = port if port and port not in found.values() and is_free(port) else free_port()
    write(state / "ports.json", found)
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that this process has given to nobody before."""
    port = next(port for port in random.sample(_PORTS, len(_PORTS)) if port not in _given and is_free(port))
    _given.add(port)
    return port


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections don't matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write(path: Path, content: object) -> None:
    """Write `content` as JSON that only its owner may read, whole or not at all."""
    half_written = path.with_suffix(".new")
    half_written.unlink(missing_ok=True)
    with os.fdopen(os.open(half_written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    half_written.replace(path)


def _read(path: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return content
