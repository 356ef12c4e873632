"""import: a rate sheet into a draft by `manage.py import_rates`, made live, replaced, and taken back."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psutil  # type: ignore[import-untyped]
from django.core.management import call_command

from bench import results
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from billing.models import DeckVersion, RateDeck

ROOT = Path(__file__).resolve().parent.parent
GOAL_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_FIRST_PREFIX = 200_000
_A_FEW = 2_500  # whose memory is the floor: that of Django and no rates to speak of


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import by a process of its own: rates, seconds from its start to its end, its largest memory."""

    file: str
    rates: int
    seconds: float
    memory_mb: float


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Import few rates and many, from CSV and XLSX; time the rest. Raises Failed when a step does not do its work."""
    call_command("migrate", verbosity=0)
    RateDeck.objects.create(name="Standard", currency="USD")
    imports = [
        _import(_write(stack.state, kind, count), count) for kind in ("csv", "xlsx") for count in (_A_FEW, plan.rates)
    ]
    _, older, _, newer = DeckVersion.objects.order_by("pk")  # the two large ones
    live = _timed("go_live_rates", older.pk)
    replaced = _timed("go_live_rates", newer.pk)
    undone = _timed("undo_rates", newer.pk)
    print(
        results.table(
            ("import", "rates", "seconds", "MB"),
            [(each.file, f"{each.rates:,}", f"{each.seconds:.1f}", f"{each.memory_mb:.0f}") for each in imports],
        )
    )
    print(f"live in {live:.2f} s, replaced in {replaced:.2f} s, undone in {undone:.2f} s; goal {GOAL_SECONDS:.0f} s")
    return {
        "plan": asdict(plan),
        "imports": [asdict(each) for each in imports],
        "live_seconds": live,
        "replaced_seconds": replaced,
        "undone_seconds": undone,
    }


def _import(path: Path, count: int) -> Import:
    """Run the command as an operator does, and look at what it used."""
    started, memory = perf_counter(), 0
    process = psutil.Popen(
        [sys.executable, str(ROOT / "manage.py"), "import_rates", "Standard", str(path)], stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        with suppress(psutil.Error):  # it may end meanwhile
            memory = max(memory, process.memory_info().rss)
        sleep(_LOOK_SECONDS)
    seconds = perf_counter() - started
    if process.returncode or DeckVersion.objects.latest("pk").rates.count() != count:
        raise Failed(f"{path.name} was not imported")
    return Import(file=path.name, rates=count, seconds=seconds, memory_mb=memory / 2**20)


def _timed(command: str, version: int) -> float:
    started = perf_counter()
    call_command(command, version, verbosity=0)
    return perf_counter() - started


def _write(folder: Path, kind: str, count: int) -> Path:
    """Write a sheet of `count` North American exchanges."""
    path = folder / f"rates-{count}.{kind}"
    if kind == "csv":
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in _rows(count)))
        return path
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in _rows(count):
        sheet.append(row)
    book.save(path)
    return path


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    yield ("Prefix", "Description", "Price", "Increments")
    for prefix in range(_FIRST_PREFIX, _FIRST_PREFIX + count):
        yield (int(f"1{prefix}"), f"Exchange {prefix}", round(0.01 + prefix % 97 / 10_000, 4), "60/60")
