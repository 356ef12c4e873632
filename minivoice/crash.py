"""Fault points. `crashpoint(name)` does nothing unless a fault test names it; then it kills the process outright.

The environment variable `CRASHPOINT` is `name` or `name:n` (the nth pass kills). With `CRASHPOINT_ONCE` set to a
file's path, the file is made first and an existing file disarms the point, so that a restarted process lives.
"""

import os
import signal
from pathlib import Path

_armed, _, _pass = os.environ.get("CRASHPOINT", "").partition(":")
_left = int(_pass or 1)


def crashpoint(name: str) -> None:
    """Kill this process with SIGKILL if a fault test armed `name` and this is the pass it chose."""
    if name == _armed:
        _pass_by()


def _pass_by() -> None:
    global _left  # noqa: PLW0603  the count of passes is the whole state of an armed process
    _left -= 1
    if _left > 0:
        return
    once = os.environ.get("CRASHPOINT_ONCE")
    if once:
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
