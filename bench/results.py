"""Results: a table for people, `results.json` for everything else."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text, its columns as wide as they must be: the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    )


def costs(loads: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return a table of the CPU milliseconds for one by process: the median of the rounds of each kind of load."""
    names = list(next(iter(loads.values()))[0])
    rows = [
        (kind, *(f"{median(each[name] for each in rounds):.3f}" for name in names)) for kind, rounds in loads.items()
    ]
    return table(("CPU ms for one", *names), rows)


def write(path: Path, name: str, figures: Mapping[str, Any]) -> None:
    """Put the figures of the benchmark `name` into the file, with when and where they were measured."""
    known = json.loads(path.read_text()) if path.exists() else {}
    where = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    path.write_text(json.dumps({**known, name: {**where, **figures}}, indent=2) + "\n")
