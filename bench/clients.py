"""The load: pgbench for the floor, wrk for HTTP. Each runs to its end and tells what it measured."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_GRACE_SECONDS = 30
_THREADS = 2


class Failed(Exception):
    """A benchmark cannot be run, or its result cannot be trusted; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What wrk saw: answers by HTTP status in `seconds`, broken connections, latency in milliseconds."""

    statuses: Mapping[str, int]
    broken: int
    seconds: float
    p50_ms: float
    p99_ms: float


def find_wrk() -> str:
    """Return where wrk is. Raises Failed when it is missing."""
    program = shutil.which("wrk")
    if program is None:
        raise Failed("wrk is missing: apt-get install wrk")
    return program


def wrk(*, url: str, script: Path, arguments: list[str], connections: int, seconds: int) -> Answers:
    """Run wrk with a script that ends by printing an object with the fields of `Answers` as its last line.

    Raises Failed when wrk is missing, or ends badly.
    """
    options = [f"-t{min(_THREADS, connections)}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    printed = _run([find_wrk(), *options, "-s", str(script), url, "--", *arguments], seconds)
    return Answers(**json.loads(printed.splitlines()[-1]))


def pgbench(command: list[str], *, script: Path, variables: Mapping[str, int], connections: int, seconds: int) -> float:
    """Run `script` over and over in `connections` sessions; return transactions a second.

    `command` is pgbench's, ending with the database. Raises Failed when a transaction fails.
    """
    program, *database = command
    options = ["-n", "-f", str(script), f"-c{connections}", f"-j{min(_THREADS, connections)}", f"-T{seconds}"]
    options += [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
    printed = _run([program, *options, *database], seconds)
    rate = re.search(r"^tps = ([0-9.]+)", printed, re.MULTILINE)
    if rate is None or "number of failed transactions: 0 " not in printed:
        raise Failed(f"pgbench did not measure what it should:\n{printed}")
    return float(rate[1])


def _run(command: list[str], seconds: int) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{Path(command[0]).name} did not end in time") from error
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
