"""Place a call on the running platform and print what happens to it, as it happens: `make call TO=+15551230002`.

Lines of the call's timeline, as the API tells it, and the webhooks that its application, the playground, receives,
with milliseconds since the call was accepted. By the Python client: `pip install ./clients/python` outside of `make`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import requests
from minivoice_client import ApiError, Client, ConnectionFailed

FINAL = {"completed", "failed", "canceled"}
PATIENCE_SECONDS = 60
POLL_SECONDS = 0.1


def main() -> None:
    """Place the call and follow it; exit with 1 when it could not be placed or did not end in time."""
    parser = argparse.ArgumentParser(description="Place a call and print what happens to it.")
    parser.add_argument("to", help="the number to call, such as +15551230002")
    parser.add_argument("--from", dest="caller", default="+15551230001", help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        platform = Platform()
        call = platform.place(caller=arguments.caller, to=arguments.to)
        print(f"{call['id']}  {call['from']} → {call['to']}", flush=True)
        ended = follow(platform, call)
    except Trouble as trouble:
        sys.exit(str(trouble))
    except (ConnectionFailed, requests.RequestException):
        sys.exit("MiniVoice does not answer: start it with `make run`.")
    cost = f"{ended['cost_amount'] or 0} {ended['cost_currency']}"
    print(f"{ended['status']}: {ended['end_reason']}, {ended['duration_seconds'] or 0} s, cost {cost}")


class Trouble(Exception):
    """What went wrong, in a line for the reader."""


class Platform:
    """The platform that `make run` started, and its playground."""

    def __init__(self) -> None:
        ready = Path(os.environ.get("MINIVOICE_STATE") or ".run") / "ready.json"
        try:
            facts = json.loads(ready.read_text())
        except OSError as error:
            raise Trouble(f"MiniVoice is not running ({ready}: {error.strerror}): `make run` starts it.") from error
        self._session = requests.Session()
        self._session.trust_env = False  # it is on this machine: no proxy
        self._client = Client(facts["api_key"], base_url=facts["base_url"], session=self._session, tries=1)
        self._playground_url = facts["playground_url"]

    def place(self, *, caller: str, to: str) -> dict[str, Any]:
        """Place a call and return it. Raises Trouble when it is refused."""
        try:
            return dict(self._client.create_call(from_=caller, to=to))
        except ApiError as error:
            raise Trouble(f"Refused with {error.status} {error.error_code}: {error.message}") from error

    def call(self, call_id: str) -> dict[str, Any]:
        """Return the call as it is now."""
        return dict(self._client.get_call(call_id))

    def timeline(self, call_id: str) -> list[dict[str, Any]]:
        """Return what happened so far: a list of `at`, `event` and `data`."""
        return [dict(line) for line in self._client.list_call_events(call_id)]

    def webhooks(self, call_id: str) -> list[dict[str, Any]]:
        """Return what the playground received about this call."""
        answer = self._session.get(f"{self._playground_url}/events.json?call_id={call_id}", timeout=10)
        answer.raise_for_status()
        return list(answer.json())


def follow(platform: Platform, call: dict[str, Any]) -> dict[str, Any]:
    """Print each new line until the call has ended and its last webhook is delivered; return the call.

    Raises Trouble when that takes longer than a minute.
    """
    printed: set[str] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        call = platform.call(call["id"])
        timeline = platform.timeline(call["id"])
        received = platform.webhooks(call["id"])
        for at, text in sorted([*_facts(timeline), *_received(received)], key=itemgetter(0)):
            if f"{at} {text}" not in printed:
                printed.add(f"{at} {text}")
                offset = datetime.fromisoformat(at) - datetime.fromisoformat(call["created_at"])
                print(f"{offset.total_seconds() * 1000:+9,.0f} ms  {text}", flush=True)
        if call["status"] in FINAL and _is_delivered(timeline, f"call.{call['status']}"):
            return call
        time.sleep(POLL_SECONDS)
    raise Trouble(f"After {PATIENCE_SECONDS} s the call is {call['status']}; its last webhook was not delivered.")


def _facts(timeline: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for line in timeline:
        data = {name: value for name, value in line["data"].items() if value is not None}
        told = "  ".join(f"{name}={_short(value)}" for name, value in data.items())
        yield line["at"], f"{line['event']:20} {told}".rstrip()


def _received(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        yield entry["received_at"], f"{'playground received':20} {entry['event']}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_delivered(timeline: list[dict[str, Any]], event: str) -> bool:
    """Tell whether a webhook was answered with a 2xx: the timeline has every attempt."""
    attempts = [line["data"] for line in timeline if line["event"] == "webhook_attempted"]
    return any(data["event"] == event and data.get("http_status", 0) // 100 == 2 for data in attempts)


if __name__ == "__main__":
    main()
