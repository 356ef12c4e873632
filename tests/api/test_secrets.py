"""Canaries: everything of the API is used with secrets that are known, and then looked for where they must not be."""

import base64
import logging
import re
from typing import Any

import pytest
from django.db import connection

from applications import keys
from minivoice import nudge
from telephony import trunks
from tests.api import doors
from tests.conftest import Actor, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "nobody_dials")]

GIVEN = {
    "first webhook secret": "canary-webhook-secret-1",
    "second webhook secret": "canary-webhook-secret-2",
    "password": "canary-trunk-password-1",
    "changed password": "canary-trunk-password-2",
    "refused secret": "canary-refused-secret-" + "x" * 300,
    "refused password": "canary,refused-password",
    "lost password": "canary-password-of-a-fault",
    "unknown key": keys.PREFIX + "canary-unknown-key-that-nobody-ever-issued-000",
}


@pytest.fixture
def answers(caplog: pytest.LogCaptureFixture, acme: Actor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of every answer: each door once, and those that take secrets again, with canaries and mistakes."""
    caplog.set_level(logging.DEBUG)
    mine = doors.own(acme)
    client = acme.client()
    said: list[Any] = []

    def ask(method: str, path: str, body: dict[str, Any] | None = None, **more: Any) -> Any:
        said.append(getattr(client, method)(path, body, format="json", **more))
        return said[-1]

    made = ask("post", "/v1/applications", {"name": "x", "webhook_secret": GIVEN["first webhook secret"]}).json()
    address = f"/v1/applications/{made['id']}"
    ask("post", f"{address}/webhook-secret", {"secret": GIVEN["second webhook secret"]})
    ask("post", "/v1/applications", {"name": "x", "webhook_secret": GIVEN["refused secret"]})
    ask("post", f"{address}/webhook-secret", {"secret": GIVEN["refused secret"]})
    ask("patch", address, {"webhook_secret": GIVEN["refused secret"]})
    trunk = {"name": "x", "proxy": "sip.acme.example", "username": "x"}
    mine["trunk_id"] = ask("post", "/v1/trunks", {**trunk, "password": GIVEN["password"]}).json()["id"]
    ask("patch", f"/v1/trunks/{mine['trunk_id']}", {"password": GIVEN["changed password"]})
    ask("post", "/v1/trunks", {**trunk, "password": GIVEN["refused password"]})
    ask("get", "/v1/balance", headers={"Authorization": f"Bearer {GIVEN['unknown key']}"})
    with monkeypatch.context() as fault:
        fault.setattr(trunks, "render", broken)
        assert refusal(ask("post", "/v1/trunks", {**trunk, "password": GIVEN["lost password"]}))[0] == 500
    last = ["delete_recording", "hang_up_call", "revoke_key", "delete_trunk", "delete_application"]
    for door in sorted(doors.every(), key=lambda door: last.index(str(door)) if str(door) in last else -1):
        said.append(door.knock(acme, mine))
        assert said[-1].status_code < 300
    return [b"".join(response).decode(errors="replace") for response in said]  # the audio is streamed


def broken(*_: Any) -> Any:
    raise RuntimeError("a fault of ours")


def made_by(answers: list[str]) -> list[str]:
    """The secrets that answers showed."""

    return [text for answer in answers for text in re.findall(r'"(?:api_key|webhook_secret)":"([^"]+)"', answer)]


def test_a_secret_is_in_the_one_answer_that_shows_it(acme: Actor, answers: list[str]) -> None:
    shown = made_by(answers)

    assert len(shown) == len(set(shown)) == 4  # of two applications, of a key, a webhook secret that was made
    for secret in shown:
        assert sum(answer.count(secret) for answer in answers) == 1
    for what, secret in {**GIVEN, "own key": acme.key}.items():
        assert not any(secret[:24] in answer for answer in answers), what


def test_no_secret_is_in_a_log_a_table_or_redis(
    caplog: pytest.LogCaptureFixture, acme: Actor, answers: list[str]
) -> None:
    secrets = [*GIVEN.values(), *made_by(answers), acme.key]
    records = caplog.get_records("setup")
    logged = "\n".join(logging.Formatter().format(record) for record in records)
    places = {"log": logged.encode(), "tables": dump(), "redis": kept_in_redis()}

    assert "a fault of ours" in logged
    for name, text in places.items():
        found = [secret for secret in secrets if any(form in text for form in forms(secret))]
        assert found == [], name


def forms(secret: str) -> list[bytes]:
    """A secret as it is (or its beginning, for messages that quote one), in hexadecimal, in base 64."""
    text = secret[:24].encode()
    return [text, text.hex().encode(), base64.b64encode(secret.encode())]


def dump() -> bytes:
    """Every row of every table as text."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row for (row,) in cursor.fetchall()]
    assert any("canary" not in row and "+15551230001" in row for row in rows)
    return "\n".join(rows).encode()


def kept_in_redis() -> bytes:
    """Every value there."""
    redis = nudge._connect()
    read = {
        "none": lambda _: None,  # it has just expired
        "string": redis.get,
        "list": lambda key: redis.lrange(key, 0, -1),
        "hash": redis.hgetall,
        "set": redis.smembers,
        "zset": lambda key: redis.zrange(key, 0, -1),
    }
    return repr([(key, read[redis.type(key)](key)) for key in redis.scan_iter()]).encode()
