"""`make run`: the platform in the foreground, until Ctrl-C."""

import os
import shlex
import signal
import sys
import time
from pathlib import Path

from minivoice.local.lock import InUse
from minivoice.local.stack import Platform, PortTaken
from minivoice.local.supervisor import Cancelled, StartFailed

_BODY = '{"from": "+15551230001", "to": "+15551230002"}'


def main() -> int:
    """Run the platform; return the exit status: 0 after a clean stop, 1 when it could not start."""
    state = Path(os.environ.get("MINIVOICE_STATE") or ".run").resolve()
    platform = Platform(state=state, port=int(os.environ.get("PORT") or 8000), say=_say)
    stop_asked = False

    def ask_to_stop(_number: int, _frame: object) -> None:
        nonlocal stop_asked
        stop_asked = True
        platform.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_stop)
    parent = os.getppid()
    try:
        facts = platform.start()
    except Cancelled:
        return 0
    except (InUse, PortTaken, StartFailed, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1
    print(_box(facts, state), flush=True)
    while not stop_asked and not (_under_make() and os.getppid() != parent):
        time.sleep(0.1)
    _say("Stopping ...")
    platform.stop()
    return 0


def _box(facts: dict[str, object], state: Path) -> str:
    curl = [
        *("curl", "-sS", f"{facts['base_url']}/v1/calls"),
        *("-H", f"Authorization: Bearer {facts['api_key']}"),
        *("-H", "Content-Type: application/json", "-d", _BODY),
    ]
    return f"""
MiniVoice is running: {facts["base_url"]}

  Console     {facts["console_url"]}  user {facts["console_user"]}  password {facts["console_password"]}
  Playground  {facts["playground_url"]}
  API key     {facts["api_key"]}
  State       {state}  (logs in {state / "logs"})

Place a call:

  {shlex.join(curl)}

Ctrl-C stops everything.
"""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _under_make() -> bool:
    """Started by make: then `kill -9` of make, which cannot pass it on, is meant for us."""
    return "MAKELEVEL" in os.environ


if __name__ == "__main__":
    sys.exit(main())
