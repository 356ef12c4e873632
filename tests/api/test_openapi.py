"""`/v1/openapi.json` and `/docs`: complete, valid, and nothing asked of anybody else."""

import html
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from jsonschema import ValidationError
from openapi_spec_validator import validate

from applications.models import ApiKey
from calls.models import Status
from minivoice import errors
from minivoice.openapi.document import document, operations, routes
from tests import factories
from tests.api import doors
from tests.api.contract import check_body, described, find
from tests.conftest import Actor, refusal

METHODS = ("get", "post", "put", "patch", "delete")


def test_is_openapi_3_1() -> None:
    validate(described())
    assert described()["openapi"] == "3.1.0"


def test_every_method_of_every_address_is_described() -> None:
    answered = {(path, method) for path, view in routes() for method in METHODS if hasattr(view, method)}

    assert len(answered) > 10
    assert {(path, method) for path, item in described()["paths"].items() for method in item} == answered


def test_operation_ids_are_unique_words() -> None:
    names = Counter(operation.name for _, _, _, operation in operations())

    assert [name for name, times in names.items() if times > 1] == []
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []


@pytest.mark.django_db
@pytest.mark.usefixtures("nobody_dials", "names")
@pytest.mark.parametrize("door", doors.every(), ids=str)
def test_the_scope_that_is_told_is_the_scope_that_is_asked_for(acme: Actor, door: doors.Door) -> None:
    others = set(ApiKey.Scope.values) - {door.operation.scope}
    weak = Actor(acme.customer, acme.application, factories.issue_key(acme.application, *others))

    answer = door.knock(weak, doors.own(acme))

    if door.operation.scope:
        assert refusal(answer) == (403, "scope_required")
    else:
        assert 200 <= answer.status_code < 300


def test_every_change_needs_a_scope() -> None:
    free = {operation.name for _, _, method, operation in operations() if method != "get" and not operation.scope}

    assert free == {"explain_call", "validate_actions"}  # which change nothing


def test_every_code_of_the_catalogue_is_told_somewhere() -> None:
    told = {error for item in described()["paths"].values() for each in item.values() for error in codes(each)}

    assert told | {"method_not_allowed"} == set(errors.CATALOGUE)


def codes(operation: dict[str, Any]) -> set[str]:
    refusals = [answer for status, answer in operation["responses"].items() if status >= "400"]
    return {code for answer in refusals for code in answer["content"]["application/json"]["examples"]}


def test_every_refusal_that_may_be_retried_has_a_retry_after() -> None:
    responses = find("create_call")["responses"]

    assert {status for status, each in responses.items() if "Retry-After" in each["headers"]} == {"409", "429", "503"}


def test_the_statuses_of_a_call_are_those_of_the_code() -> None:
    call = described()["components"]["schemas"]["Call"]

    assert call["properties"]["status"]["enum"] == Status.values


@pytest.mark.parametrize(
    "body",
    [
        {"to": "+15551230002"},
        {"from": "15551230001", "to": "+15551230002"},
        {"from": "+15551230001", "to": "+15551230002", "timeout_seconds": 4},
        {"from": "+15551230001", "to": "+15551230002", "timeout_seconds": "60"},
        {"from": "+15551230001", "to": "+15551230002", "record": 1},
        {"from": "+15551230001", "to": "+15551230002", "metadata": []},
        {"from": "+15551230001", "to": "+15551230002", "metadata": dict.fromkeys(map(str, range(51)), 1)},
    ],
)
def test_a_body_that_is_refused_is_invalid_by_the_schema(body: Any) -> None:
    with pytest.raises(ValidationError):
        check_body(find("create_call"), body)


def test_what_is_optional_may_be_null() -> None:
    check_body(find("create_call"), {"from": "+15551230001", "to": "+15551230002", "metadata": None, "record": None})


def test_is_served_without_a_key_and_not_again_to_who_has_it() -> None:
    answer = Client().get("/v1/openapi.json")

    assert answer.json() == document()
    assert answer["Content-Type"] == "application/json"
    again = Client().get("/v1/openapi.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_cannot_be_written() -> None:
    assert refusal(Client(enforce_csrf_checks=True).post("/v1/openapi.json")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("NewApplication", "id customer_id name answer_url webhook_url api_key created_at"),
        ("Application", "id customer_id name answer_url webhook_url created_at"),
        (
            "Call",
            (
                "id status direction from to application_id customer_id provider_call_id answer_url metadata "
                "created_at route_mode routing_target dialing_at ringing_at answered_at ended_at duration_seconds "
                "billable_seconds cost_amount cost_currency end_reason hangup_by sip_code trunk_id"
            ),
        ),
        (
            "Number",
            "id customer_id application_id number_e164 provider status route_mode created_at updated_at",
        ),
        (
            "Trunk",
            "id customer_id name direction gateway_name proxy username is_active created_at updated_at",
        ),
        ("Usage", "application_id from to summary"),
        ("Summary", "calls billsec_seconds cost_amount cost_currency"),
        ("Balance", "posted held available credit_limit currency"),
    ],
)
def test_the_published_fields_of_an_object_are_always_there(name: str, fields: str) -> None:
    assert set(fields.split()) <= set(described()["components"]["schemas"][name]["required"])


def test_the_page_and_its_files_are_our_own() -> None:
    answer = Client().get("/docs")

    page = answer.content.decode()
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 4
    assert all(file.startswith("/static/") and finders.find(file.removeprefix("/static/")) for file in files)
    assert "<script>" not in page
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_the_pages_start_names_no_other_host() -> None:
    start = Path(str(finders.find("docs/start.js"))).read_text()

    assert "//" not in re.sub(r"^//.*$", "", start, flags=re.MULTILINE)


@pytest.mark.django_db(transaction=True)
def test_a_browser_draws_the_page_from_our_files_alone(live_server: Any, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser here")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    nobody_else = f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {urlsplit(live_server.url).hostname}"
    profile, patience = f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000"

    drawn = subprocess.run(
        [browser, *options, nobody_else, profile, patience, f"{live_server.url}/docs"],
        capture_output=True, text=True, check=True, timeout=90,
    )  # fmt: skip

    assert all(operation.summary in html.unescape(drawn.stdout) for _, _, _, operation in operations())
    assert set(re.findall(r'(?:src|href)="(\w+://[^/"]+)', drawn.stdout)) <= {live_server.url}
