"""What differs from run to run, written as the examples of the documentation write it."""

import json
import re
from typing import Any

_CHANGING = [
    (r"\b([a-z]+(?:_call)?)_[0-9]{8}T[0-9]{6}\.[0-9]{9}", r"\1_20260529T120000.000000000"),
    (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z", "2026-05-29T12:00:00.000Z"),
    (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z", "2026-05-01T00:00:00Z"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "1b4e28ba-2fa1-4d2f-9c3b-6a0e5d7c8f10"),
    (r"\bmv_live_[\w-]{20,}", "mv_live_dGhpcyBpcyBhbiBleGFtcGxlIG9ubHk"),
    (r"\bmv_live_[\w-]{1,8}(?=\")", "mv_live_dGhp"),
    (r'"last_four": "[^"]{4}"', '"last_four": "bmx5"'),
    (r'"request_id": "[^"]+"', '"request_id": "4a1f0c6e9b7d2f5813a6c0de"'),
    (r'"next_cursor": "[^"]+"', '"next_cursor": "MTA0Mg"'),
    (r'"webhook_secret": "[^"]+"', '"webhook_secret": "Yo6dXq3bN0wR8sT1uV5zA7cE9gI2kM4pQjLhFfDdBb0"'),
    (r'"version_id": [0-9]+', '"version_id": 7'),
    (r"expires=[0-9]+&signature=[\w-]+", "expires=1780056900&signature=f3mVnR0sT8uY1wZ5xA7cE9gI2kM4pQjLhFfDdBb0Yo6"),
    (r'"duration_ms": [0-9]+', '"duration_ms": 12'),
]


def canonical(text: str) -> str:
    """Return `text` with every id, time, key and cursor replaced by the one that examples use."""
    for pattern, example in _CHANGING:
        text = re.sub(pattern, example, text)
    return text


def canonical_json(value: Any) -> Any:
    """Return the same of a JSON value."""
    return json.loads(canonical(json.dumps(value, ensure_ascii=False)))
