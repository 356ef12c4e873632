"""Which lines the code writes to the timeline of a call."""

import re
from pathlib import Path

from calls import lifecycle
from calls.models import Recording


def written_kinds() -> set[str]:
    """Every kind of line that the code writes to a timeline by name."""
    written = re.compile(r"(?:timeline\.add\(\s*[\w.]+,|\.note\(|store\.note\(\s*[\w.]+,)\s*\"(\w+)\"")
    others = {"action_started", "accepted", "webhook_attempted", "hold_extended", "extension_refused"}
    ends = {f"call_{status}" for status in ("completed", "failed", "canceled")}
    recordings = {f"recording_{state}" for state in Recording.State}
    engine = {f"engine_{kind}" for kind in [*lifecycle._HANDLERS, "ended"]}
    found = {kind for file in Path("calls").rglob("*.py") for kind in written.findall(file.read_text())}
    return found | others | ends | recordings | engine
