"""Log lines: whose they are, and what must never be in them."""

import json
import logging
import re
from typing import Any

import pytest
from celery import current_app
from cryptography.fernet import Fernet
from django.conf import settings as project
from django.test import Client

from minivoice import logs
from tests.conftest import Actor

CALL = "call_20260529T120000.786004013"
KEY = "mv_live_abcdEFGHijklMNOPqrstUVWXyz0123456789-_abcdE"
SECRETS = [
    f"no such key: {KEY}",
    f"Authorization: Bearer {KEY}",
    "Authorization: Basic bWluaXZvaWNlOmNhbmFyeS1wYXNz",
    "cannot connect to postgres://minivoice:canary-pass@db.example:5432/minivoice",
    "GET http://10.0.0.5:8088/ari/channels?api_key=minivoice:canary-pass&app=minivoice",
    "{'username': 'acme', 'password': 'canary-pass'}",
    '{"webhook_secret": "canary-pass"}',
    "password=canary-pass host=db.example",
    f"stored as {Fernet(Fernet.generate_key()).encrypt(b'canary-pass').decode()}",
]


def written(formatter: logging.Formatter, message: str, *args: object, exc_info: Any = None) -> str:
    """Return the line that `formatter` makes of a message."""
    record = logging.LogRecord("minivoice.test", logging.INFO, "test.py", 1, message, args, exc_info)
    assert logs.Context().filter(record)
    return formatter.format(record)


@pytest.mark.parametrize("formatter", [logs.Json(), logs.Terminal()], ids=["json", "terminal"])
@pytest.mark.parametrize("message", SECRETS)
def test_masks_a_secret_wherever_it_stands(formatter: logging.Formatter, message: str) -> None:
    line = written(formatter, "it said %s", message)
    assert logs.MASK in line
    for secret in (KEY[12:], "canary-pass", "bWluaXZvaWNlOmNhbmFyeS1wYXNz", "gAAAA"):
        assert secret not in line


@pytest.mark.parametrize("formatter", [logs.Json(), logs.Terminal()], ids=["json", "terminal"])
def test_masks_the_secrets_of_the_settings_in_a_traceback_too(formatter: logging.Formatter) -> None:
    error = RuntimeError(f"cannot use {project.SECRET_KEY} with {project.FIELD_KEYS[0]}")
    line = written(formatter, "unexpected failure", exc_info=(RuntimeError, error, None))
    assert "RuntimeError: cannot use *** with ***" in line
    assert project.SECRET_KEY not in line
    assert project.FIELD_KEYS[0] not in line


def test_leaves_what_is_no_secret_as_it_is() -> None:
    for text in (
        f"{CALL} is overdue in status ringing",
        "the token of a probe expired",
        "https://example.com/answer?id=1",
        "Basic authentication failed",
    ):
        assert logs.mask(text) == text


def test_leaves_of_an_api_key_what_the_console_shows() -> None:
    assert logs.mask(KEY) == "mv_live_abcd***"


def test_a_line_is_one_json_object_with_the_ids_it_belongs_to() -> None:
    with logs.about(CALL):
        line = written(logs.Json(), "two\nlines of %s", "Zoë")
    told = json.loads(line)
    assert "\n" not in line
    assert told["message"] == "two\nlines of Zoë"
    assert (told["level"], told["logger"], told["call_id"], told["task_id"]) == ("info", "minivoice.test", CALL, "")
    assert json.loads(written(logs.Json(), "afterwards"))["call_id"] == ""


def test_a_line_of_a_task_carries_its_id() -> None:
    lines = []

    @current_app.task(name="tests.write_a_line")
    def write() -> None:
        lines.append(json.loads(written(logs.Json(), "within")))

    result = write.apply()

    assert lines[0]["task_id"] == result.id
    assert json.loads(written(logs.Json(), "outside"))["task_id"] == ""


def test_a_terminal_shows_the_ids_in_brackets() -> None:
    with logs.about(CALL):
        assert re.search(rf" INFO +minivoice\.test \[([^]]+ )?{CALL}\] here$", written(logs.Terminal(), "here"))


@pytest.mark.django_db
def test_what_a_request_for_a_call_logs_is_about_it(acme: Actor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(logs.Context())
    given = {"Authorization": f"Bearer {acme.key}", "X-Request-Id": "request-of-this-test"}

    Client().get(f"/v1/calls/{CALL}", headers=given)
    Client().get("/v1/nothing-is-here", headers=given)

    told = [
        (vars(line)["request_id"], vars(line)["call_id"]) for line in caplog.records if line.name == "django.request"
    ]
    assert told == [("request-of-this-test", CALL), ("request-of-this-test", "")]
