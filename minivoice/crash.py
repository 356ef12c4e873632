"""Fault points. `crashpoint(name)` does nothing unless a fault test armed it; then it kills the process outright.

A fault test names a file in the environment variable `CRASHPOINTS` of every process, and arms a point by writing
`name n` into it: the nth pass from then on kills. Removing the file is what the killer must win, so that exactly one
process dies, once.
"""

import os
import signal
from pathlib import Path

_file = Path(os.environ["CRASHPOINTS"]) if "CRASHPOINTS" in os.environ else None


def crashpoint(name: str) -> None:
    """Kill this process with SIGKILL if a fault test armed `name` and this is the pass it chose."""
    if _file is not None:
        _pass(_file, name)


def _pass(file: Path, name: str) -> None:
    try:
        armed, passes = file.read_text().split()
    except (FileNotFoundError, ValueError):
        return
    if armed != name:
        return
    if int(passes) > 1:
        file.write_text(f"{name} {int(passes) - 1}")
        return
    try:
        file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
