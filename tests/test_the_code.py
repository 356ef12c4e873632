"""Tests about the code itself: its size, and the rules of where things may happen (docs/architecture.md)."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest
from django.core.management import call_command

Node = TypeVar("Node", bound=ast.AST)
ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("minivoice", "applications", "webhooks", "billing", "telephony", "calls")

# Where the time is read: the doors, and the loops that are doors of their own.
CLOCK_DOORS = {
    "minivoice/clock.py",
    "minivoice/fields.py",  # dates a public id that nobody else gave
    "minivoice/readiness.py",
    "*/views.py",
    "applications/jobs.py",
    "applications/authentication.py",  # every request's first door: when its key was used
    "*/tasks.py",
    "*/admin.py",
    "*/admin/*.py",
    "*/management/commands/*.py",
    "calls/dialing.py",
    "calls/lanes.py",
    "calls/switchboard.py",
    "calls/flow/fetching.py",
    "calls/recordings/collecting.py",
    "webhooks/pump.py",
    "minivoice/local/*",  # starts processes, knows no domain
    "telephony/simulator/*",  # stands for the outside
}
# Who speaks to a network. Everything else asks one of these.
NETWORK_DOORS = {
    "minivoice/outbound.py",
    "telephony/media.py",
    "telephony/engines/*",
    "telephony/simulator/*",
    "minivoice/local/*",
}
MONEY = {"Balance", "Hold", "SpendDay", "Entry"}
MONEY_EXCEPTIONS = {
    "calls/seeding/volume.py",  # opens the accounts of calls that never were; batch.sql beside it writes their money
    "calls/management/commands/seed_demo.py",  # opens the demo's account, at zero
    "billing/accounts.py",  # opens an account at zero
    "billing/admin/money.py",  # opens an account at zero, and changes its limits
}
WRITES = {"create", "bulk_create", "get_or_create", "update_or_create", "update", "bulk_update", "delete", "save"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the rooms, parsed, by its path; migrations are Django's."""
    files = (file for room in ROOMS for file in (ROOT / room).rglob("*.py") if "migrations" not in file.parts)
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in files}


def nodes(kind: type[Node]) -> Iterator[tuple[str, Node]]:
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, kind):
                yield path, node


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    yield from nodes(ast.FunctionDef)
    yield from nodes(ast.AsyncFunctionDef)


def is_among(path: str, patterns: set[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def at(path: str, node: ast.expr | ast.stmt) -> str:
    return f"{path}:{node.lineno}"


def test_functions_are_at_most_40_lines_long() -> None:
    long = [f"{at(path, node)} {node.name}" for path, node in functions() if node.end_lineno - node.lineno >= 40]
    assert long == []


def test_modules_are_at_most_400_lines_long() -> None:
    assert [path for path in modules() if len((ROOT / path).read_text().splitlines()) > 400] == []


def test_tasks_have_names_of_their_own_and_bodies_of_at_most_6_statements() -> None:
    tasks = {
        f"{path} {node.name}": (decorator, node)
        for path, node in functions()
        for decorator in node.decorator_list
        if "task" in ast.unparse(decorator)
    }
    assert len(tasks) >= 2
    for name, (decorator, node) in tasks.items():
        assert isinstance(decorator, ast.Call), name
        assert "name" in {keyword.arg for keyword in decorator.keywords}, name
        body = node.body[1:] if ast.get_docstring(node) else node.body
        assert sum(isinstance(inner, ast.stmt) for statement in body for inner in ast.walk(statement)) <= 6, name


def test_the_status_of_a_call_is_assigned_in_one_function() -> None:
    assigned = [
        path
        for path, node in nodes(ast.Attribute)
        if node.attr == "status"
        and isinstance(node.ctx, ast.Store)
        and path.startswith(("calls/", "billing/", "telephony/"))
    ]
    assert assigned == ["calls/lifecycle.py"]


def test_no_update_writes_the_status_of_calls() -> None:
    for path, node in nodes(ast.Call):
        if path.startswith("calls/") and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
            assert "status" not in {keyword.arg for keyword in node.keywords}, at(path, node)
    for path, text in texts():
        assert not re.search(r"UPDATE\s+calls_call\b.*\bSET\b.*\bstatus\s*=", text, re.DOTALL | re.IGNORECASE), path


def test_money_is_written_by_the_ledger_alone() -> None:
    by_sql = {path for path, text in texts() if MONEY_SQL.search(text)}
    by_rows = {
        path
        for path, node in nodes(ast.Call)
        if isinstance(node.func, ast.Attribute) and node.func.attr in WRITES and is_money(node.func.value)
    }
    assert by_sql == {"billing/ledger.py"}
    assert by_rows == {"billing/ledger.py", *MONEY_EXCEPTIONS}


MONEY_SQL = re.compile(
    r"(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)\s+billing_(balance|hold|spendday|entry)\b", re.IGNORECASE
)


def texts() -> Iterator[tuple[str, str]]:
    """Every string of the code, parts of f-strings too."""
    for path, node in nodes(ast.Constant):
        if isinstance(node.value, str):
            yield path, node.value


def is_money(owner: ast.expr) -> bool:
    """Whether a write is one to money: `Balance.objects.….update`, or `balance.save` by its name."""
    while isinstance(owner, ast.Attribute | ast.Call):
        owner = owner.value if isinstance(owner, ast.Attribute) else owner.func
    name = owner.id if isinstance(owner, ast.Name) else ""
    return name in MONEY or name.lower() in {known.lower() for known in MONEY} | {"balances", "holds", "entries"}


def test_the_time_is_read_at_doors_and_passed_in() -> None:
    readers = {path for path, node in nodes(ast.Attribute) if ast.unparse(node) == "clock.now"}

    assert {path for path in readers if not is_among(path, CLOCK_DOORS)} == set()


def test_there_is_one_clock() -> None:
    others = {
        path
        for path, node in nodes(ast.Attribute)
        if re.fullmatch(
            r"(datetime(\.datetime)?\.(now|utcnow|today)|date\.today|timezone\.now|time\.time)", ast.unparse(node)
        )
    }
    assert {path for path in others if not path.startswith("telephony/simulator/")} == {"minivoice/clock.py"}


def test_only_the_doors_to_networks_import_their_clients() -> None:
    clients = {"requests", "aiohttp", "httpx", "urllib3", "websockets"}
    for path, node in [*nodes(ast.Import), *nodes(ast.ImportFrom)]:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if clients & {name.partition(".")[0] for name in names}:
            assert is_among(path, NETWORK_DOORS), at(path, node)


def test_every_fault_point_has_a_name_of_its_own() -> None:
    passes = [
        node.args[0] for _, node in nodes(ast.Call) if isinstance(node.func, ast.Name) and node.func.id == "crashpoint"
    ]
    names = [point.value for point in passes if isinstance(point, ast.Constant)]
    assert len(names) == len(passes) >= 10
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_public_functions_say_what_they_do() -> None:
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, module in modules().items()
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not node.name.startswith("_") and not ast.get_docstring(node)
        if "overload" not in map(ast.unparse, node.decorator_list)
    ]
    assert silent == []


def test_migrations_are_named_by_intent() -> None:
    names = [file.name for room in ROOMS for file in (ROOT / room).rglob("migrations/0*.py")]
    assert names
    assert [name for name in names if "_auto_" in name] == []


@pytest.mark.django_db
def test_the_models_have_their_migrations() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_system_check_is_clean() -> None:
    call_command("check", fail_level="WARNING")
