"""lists: pages of the API and of the console over many calls, beside bare SQL for the rows of the same pages.

`seed_volume` makes the calls. The API's pages are those of the application with most of them, the console's those of
a superuser. Every page is asked for in turn, over one connection, until the seconds of the plan are over: first of the
database alone, then of the API, then of the console.
"""

import http.client
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import psycopg2  # type: ignore[import-untyped]
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Count
from django.test import Client

from applications import keys
from applications.models import Application
from bench import cpu, pages, results, world
from bench.clients import Failed
from bench.pages import Page
from bench.plan import Plan
from bench.stack import Stack

GOAL_TIMES_FIRST = 1.5
GOAL_CONSOLE_MS = 1_000
CUSTOMERS = 10  # the first of them has nearly half of the calls
_LONGEST_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Pages asked for in turn: the median and the slowest request of each, CPU for one request by process."""

    ms: dict[str, float]
    slowest_ms: dict[str, float]
    cpu_ms: dict[str, float]
    others_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The rows of all pages by bare SQL, and the pages."""

    floor: Load
    api: Load
    console: Load

    def times_first(self, deep: str) -> float:
        """How many times as long as the first page of its list a deep one takes."""
        return self.api.ms[deep] / self.api.ms[deep.partition(",")[0]]


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a page does not show what it must."""
    lists = Lists(plan, stack)
    lists.prepare()
    rounds = [lists.round(number) for number in range(1, plan.rounds + 1)]
    times_first = {
        name: median(each.times_first(name) for each in rounds) for name in rounds[0].api.ms if _is_deep(name)
    }
    _print(rounds, times_first)
    return {
        "plan": asdict(plan),
        "times_first": times_first,
        "slowest_console_ms": max(max(each.console.slowest_ms.values()) for each in rounds),
        "rounds": [asdict(each) for each in rounds],
    }


class Lists:
    """The pages, and those who ask for them."""

    def __init__(self, plan: Plan, stack: Stack) -> None:
        self._plan, self._stack = plan, stack

    def prepare(self) -> None:
        """Make the calls, choose the pages, and look at each once."""
        print(f"Making {self._plan.listed:,} calls ...")
        call_command("migrate", verbosity=0)
        call_command("seed_volume", calls=self._plan.listed, customers=CUSTOMERS)
        application = Application.objects.annotate(calls=Count("call")).latest("calls")
        _, key = keys.issue(application=application, scopes=[])
        self._api, self._console = pages.of_api(application), pages.of_console(application)
        self._stack.start("web", variables={})
        self._bare = _Bare()
        self._integrator = _Browser(self._stack.port, {"Authorization": f"Bearer {key}"})
        self._staff = _Browser(self._stack.port, {"Cookie": _signed_in()})
        world.settle()
        for browser, those in ((self._integrator, self._api), (self._staff, self._console)):
            for page in those:
                rows = self._bare.ask(page)
                if not rows or not page.shows(browser.ask(page), rows):
                    raise Failed(f"{page.path} does not show what the database has for it: {rows}")

    def round(self, number: int) -> Round:
        """Measure the floor, then the platform."""
        print(f"Round {number} of {self._plan.rounds} ...")
        return Round(
            floor=self._measure([*self._api, *self._console], self._bare.ask),
            api=self._measure(self._api, self._integrator.ask),
            console=self._measure(self._console, self._staff.ask),
        )

    def _measure(self, those: Sequence[Page], ask: Callable[[Page], object]) -> Load:
        """Ask for each page in turn, each at least once, until the seconds are over."""
        took_ms: dict[str, list[float]] = {page.name: [] for page in those}
        meter = cpu.Meter(self._stack.pids)
        began_seconds, own_seconds = time.monotonic(), time.process_time()
        while True:
            for page in those:
                began = time.perf_counter()
                ask(page)
                took_ms[page.name].append((time.perf_counter() - began) * 1000)
            if (took_seconds := time.monotonic() - began_seconds) >= self._plan.seconds:
                break
        own_seconds = time.process_time() - own_seconds
        meter.stop()
        requests = sum(len(each) for each in took_ms.values())
        return Load(
            ms={name: median(each) for name, each in took_ms.items()},
            slowest_ms={name: max(each) for name, each in took_ms.items()},
            cpu_ms={**meter.per_item_ms(requests), "client": own_seconds * 1000 / requests},
            others_cores=max(0.0, meter.others_cores - own_seconds / took_seconds),
        )


class _Bare:
    """The database, asked by its own library alone."""

    def __init__(self) -> None:
        database = psycopg2.connect(os.environ["DATABASE_URL"])
        database.autocommit = True
        self._cursor = database.cursor()

    def ask(self, page: Page) -> list[str]:
        """Fetch the rows of a page whole; return what they are known by."""
        self._cursor.execute(page.sql, page.values)
        place = [column.name for column in self._cursor.description or ()].index(page.column)
        return [str(row[place]) for row in self._cursor.fetchall()]


class _Browser:
    """A client of the web process, with one connection that is kept."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_SECONDS)
        self._headers = headers

    def ask(self, page: Page) -> str:
        """Return a page. Raises Failed when it is not answered 200."""
        self._connection.request("GET", page.path, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise Failed(f"{page.path} was answered {answer.status}: {text[:500]}")
        return text


def _signed_in() -> str:
    """Return the cookie of a superuser who has signed in."""
    browser = Client()
    browser.force_login(User.objects.create_superuser("bench"))
    return f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"


def _is_deep(name: str) -> bool:
    return ", page " in name


def _print(rounds: Sequence[Round], times_first: Mapping[str, float]) -> None:
    floor, of_api, console = ([getattr(each, kind) for each in rounds] for kind in ("floor", "api", "console"))
    rows = [_row(name, floor, loads) for loads in (of_api, console) for name in loads[0].ms]
    slowest_ms, slowest = max((ms, name) for load in console for name, ms in load.slowest_ms.items())
    goals = [
        *((f"{name}: times its first", f"{times:.2f}", f"{GOAL_TIMES_FIRST}") for name, times in times_first.items()),
        (f"slowest list of the console, ms ({slowest})", f"{slowest_ms:,.0f}", f"{GOAL_CONSOLE_MS:,}"),
    ]
    costs = {"bare SQL": floor, "API": of_api, "console": console}
    others_cores = max(load.others_cores for load in (*floor, *of_api, *console))
    print(f"\n{results.table(('', 'bare SQL, ms', 'page, ms', 'times', 'slowest, ms'), rows)}\n")
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    print(f"{results.costs({kind: [load.cpu_ms for load in loads] for kind, loads in costs.items()})}\n")
    print(f"Everything else on the machine used {others_cores:.1f} cores at most.\n")


def _row(name: str, floor: Sequence[Load], loads: Sequence[Load]) -> tuple[str, ...]:
    return (
        name,
        f"{median(load.ms[name] for load in floor):.2f}",
        f"{median(load.ms[name] for load in loads):.1f}",
        f"{median(load.ms[name] / bare.ms[name] for bare, load in zip(floor, loads, strict=True)):.0f}",
        f"{max(load.slowest_ms[name] for load in loads):.0f}",
    )
