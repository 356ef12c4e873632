"""Requests as MiniVoice sends them: events and contexts, signed by the platform's own code."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from webhooks import signing

SECRET = "a-secret-of-the-playground"


def event(call_id: str, sequence: int = 1, name: str = "call.created") -> bytes:
    """Return the body of a webhook."""
    body = {
        "id": f"{call_id.replace('call_', 'evt_')}{sequence}",
        "event": name,
        "created_at": "2026-05-29T12:00:00.000Z",
        "sequence": sequence,
        "call": {
            "id": call_id,
            "status": "queued",
            "from": "+15551230001",
            "to": "+15551230742",
            "end_reason": None,
        },
        "variables": {},
        "data": {"event_key": f"{call_id}:{name}"},
    }
    return json.dumps(body).encode()


def context(call_id: str, **more: Any) -> bytes:
    """Return the body of a request for instructions."""
    asked = {"call_id": call_id, "from": "+15551230001", "to": "+15551230742", "status": "in_progress"}
    return json.dumps({**asked, **more}).encode()


def headers(body: bytes, *, secret: str = SECRET, age_seconds: float = 0, **changed: str) -> dict[str, str]:
    """Return the headers of a genuine webhook; `X_MiniVoice_Signature=...` changes one."""
    genuine = signing.headers(
        secret=secret,
        event_id=json.loads(body).get("id", "evt_1"),
        event="call.created",
        delivery_id="whd_1",
        attempt=1,
        body=body,
        now=datetime.fromtimestamp(time.time() - age_seconds, UTC),
    )
    return {**genuine, **{name.replace("_", "-"): value for name, value in changed.items()}}
