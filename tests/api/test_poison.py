"""Poison at every door: one documented refusal in the envelope, never HTML, never a 5xx; and what is taken is kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.models import Call
from tests.api import doors
from tests.api.contract import described
from tests.api.doors import Door
from tests.conftest import Actor, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials", "names")]

BODIES: dict[str, tuple[bytes, str]] = {
    "nothing but a blank": (b" ", "invalid_json"),
    "an array": (b"[]", "invalid_json"),
    "a string": (b'"x"', "invalid_json"),
    "half an object": (b'{"name": "x"', "invalid_json"),
    "two objects": (b"{}{}", "invalid_json"),
    "NUL": (b'{"name": "a\\u0000b"}', "invalid_json"),
    "NUL as it is": (b'{"name": "a\x00b"}', "invalid_json"),
    "NUL in a name": (b'{"a\\u0000b": 1}', "invalid_json"),
    "a lone surrogate": (b'{"name": "\\ud800"}', "invalid_json"),
    "a lone surrogate as bytes": (b'{"name": "\xed\xa0\x80"}', "invalid_json"),
    "a reversed pair": (b'{"name": "\\udc00\\ud800"}', "invalid_json"),
    "duplicate keys": (b'{"name": "a", "name": "b"}', "invalid_json"),
    "duplicate keys, one escaped": (b'{"name": "a", "\\u006eame": "b"}', "invalid_json"),
    "NaN": (b'{"name": NaN}', "invalid_json"),
    "Infinity": (b'{"name": -Infinity}', "invalid_json"),
    "1e999": (b'{"name": 1e999}', "invalid_json"),
    "4,000 digits": (b'{"name": ' + b"9" * 4000 + b"}", "invalid_json"),
    "5,000 digits": (b'{"name": -' + b"9" * 5000 + b"}", "invalid_json"),
    "depth 33": (b'{"name": ' + b"[" * 32 + b"]" * 32 + b"}", "invalid_json"),
    "depth 30,000": (b'{"name": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "invalid_json"),
    "depth 10,000 of objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "invalid_json"),
    "depth 100,000": (b"[" * 100_000 + b"]" * 100_000, "payload_too_large"),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), "invalid_json"),
    "UTF-16 without a mark": ('{"name": "x"}'.encode("utf-16-le"), "invalid_json"),
    "UTF-32": ('{"name": "x"}'.encode("utf-32"), "invalid_json"),
    "UTF-7": (b"+AHsAfQ-", "invalid_json"),
    "Latin 1": ('{"name": "Zoë"}'.encode("latin-1"), "invalid_json"),
    "an overlong form": (b'{"name": "\xc0\xaf"}', "invalid_json"),
    "a byte order mark": (b'\xef\xbb\xbf{"name": "x"}', "invalid_json"),
    "65 KiB": (json.dumps({"name": "x" * 65 * 1024}).encode(), "payload_too_large"),
    "64 KiB and a byte": (b"{" + b" " * (64 * 1024 - 1) + b"}", "payload_too_large"),
}
TYPES = {
    "text": "text/plain",
    "a form": "application/x-www-form-urlencoded",
    "parts": "multipart/form-data; boundary=x",
    "parts without a boundary": "multipart/form-data",
    "XML": "application/xml",
    "UTF-16": "application/json; charset=utf-16",
    "UTF-7": 'application/json; charset="utf-7"',
    "an unknown charset": "application/json; charset=klingon",
    "nonsense": "/;;=",
    "none": "",
}
TEXTS = {
    "NUL": "a\x00b",
    "a line": "a\r\nX-Evil: 1",
    "a trailing newline": "+15551230002\n",
    "Arabic digits": "+١٥٥٥١٢٣٠٠٠٢",
    "fullwidth digits": "＋１５５５１２３０００２",
    "a superscript": "²",
    "a comma": "1,2",
    "a template": "${7*7}{{7*7}}%s%n",
    "SQL": "' OR 1=1 --",
    "a path": "../../etc/passwd",
    "an id with room": " call_20260529T120000.000000000",
    "right to left": "\u202egnp.exe",
    "an astral letter": "𝕏" * 40,
    "4,000 letters": "x" * 4000,
    "a big number": "9" * 400,
    "a negative number": "-1",
    "a far date": "9999-12-31T23:59:59+23:59",
    "a date before all": "0001-01-01T00:00:00-23:59",
    "nothing": "",
}
ODD: list[Any] = [
    *(True, -1, 2**53, 0.1, 1e308, [[]], [None], {"a": {}}, ["a\r\nb"], {"\u202e": "${x}"}, "x" * 60_000),
    *(TEXTS[what] for what in ("a line", "a trailing newline", "Arabic digits", "a template", "an astral letter")),
]
BODIED = [door for door in doors.every() if door.body is not None]
NAMED = [door for door in doors.every() if "{" in door.path]
ASKED = [
    (door, parameter["name"])
    for door in doors.every()
    for parameter in described()["paths"][door.path][door.method].get("parameters", [])
    if parameter["in"] == "query"
]


@pytest.fixture
def mine(acme: Actor) -> dict[str, str]:
    return doors.own(acme)


@contextmanager
def undone() -> Iterator[None]:
    """Each knock meets the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def raw(
    actor: Actor, door: Door, address: str, body: bytes, content_type: str = "application/json", **more: Any
) -> Any:
    return actor.client().generic(door.method.upper(), address, body, content_type=content_type, **more)


def documented(door: Door, response: Any) -> tuple[int, str]:
    """Return status and code of a refusal that the OpenAPI tells of."""
    found = refusal(response)
    answers = described()["paths"][door.path][door.method]["responses"]
    codes = answers[str(found[0])]["content"]["application/json"]["examples"]
    assert found[1] in codes
    assert found[0] < 500
    return found


@pytest.mark.parametrize("door", BODIED, ids=str)
def test_a_poisoned_body_is_refused_and_changes_nothing(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    for what, (body, code) in BODIES.items():
        with undone():
            response = raw(acme, door, door.address(mine), body)
            assert documented(door, response)[1] == code, what


@pytest.mark.parametrize("door", BODIED, ids=str)
def test_a_body_of_another_type_is_refused(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    body = json.dumps(door.body).encode()
    for what, content_type in TYPES.items():
        with undone():
            response = raw(acme, door, door.address(mine), body, content_type)
            assert documented(door, response) == (415, "unsupported_media_type"), what


@pytest.mark.parametrize("door", BODIED, ids=str)
def test_no_field_of_a_body_brings_a_door_down(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    """Each field with each poison, and with each wrong type: a refusal that names it, or it is taken."""
    assert door.operation.body
    for field in door.operation.body().fields:
        for value in ODD:
            with undone():
                response = door.knock(acme, mine, **{field: value})
                if response.status_code >= 300:
                    _, code = documented(door, response)
                    assert code == "rate_not_found" or response.json()["error"]["param"], (field, value)


@pytest.mark.parametrize("door", NAMED, ids=str)
def test_a_poisoned_name_in_a_path_is_nobodys(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    named = [name for name in mine if f"{{{name}}}" in door.path]
    texts = {what: quote(text, safe="") for what, text in TEXTS.items() if text and "/" not in text}
    texts |= {"broken UTF-8": "%ff%fe", "half a per cent": "%", "a pair of dots": "..", "a surrogate": "%ed%a0%80"}
    for name in named:
        for what, text in texts.items():
            address = door.address(mine | {name: text})
            body = json.dumps(door.body).encode() if door.body else b""
            assert documented(door, raw(acme, door, address, body))[0] == 404, what


@pytest.mark.parametrize(("door", "parameter"), ASKED, ids=str)
def test_a_poisoned_query_is_refused_by_name(door: Door, parameter: str, acme: Actor, mine: dict[str, str]) -> None:
    free = {"parent_call_id", "call_id", "language"}  # a text that names something: what names none lists none
    of_links = {"expires", "signature"}  # a link that is none is not looked at where there is a key
    path = door.path.format(**mine)
    others = "" if parameter == "to" or "?" not in door.address(mine) else "&to=%2B15551230002"
    texts = {what: quote(text, safe="") for what, text in TEXTS.items() if text}
    for what, text in (texts | {"broken UTF-8": "%ff"}).items():
        with undone():
            response = raw(acme, door, f"{path}?{parameter}={text}{others}", b"")
            if parameter in free and response.status_code == 200:
                assert response.json()["data"] == [], what
            elif parameter in of_links:
                assert response.status_code == 200, what
            else:
                assert documented(door, response) == (400, "invalid_request"), what
                assert response.json()["error"]["param"] == parameter, what


@pytest.mark.parametrize("door", doors.every(), ids=str)
def test_no_query_and_no_header_brings_a_door_down(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    path, body = door.address(mine), json.dumps(door.body).encode() if door.body else b""
    joint = "&" if "?" in path else "?"
    with undone():
        many = raw(acme, door, path + joint + "&".join(f"a{number}=1" for number in range(1500)), body)
        assert many.status_code < 300 or documented(door, many) == (400, "invalid_request")
    for header, value in HEADERS:
        with undone():
            response = raw(acme, door, path, body, headers={header: value})
            assert response.status_code < 300 or documented(door, response), (header, value)
            assert response["X-Request-Id"].isalnum()


HEADERS = [
    ("Accept", "text/html"),
    ("Accept", "nonsense"),
    ("Accept-Encoding", "identity;q=0"),
    ("Host", "evil.example"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Request-Id", "a\r\nb: c"),
    ("X-Request-Id", "x" * 4000),
    ("Idempotency-Key", "\x7f"),
    ("If-None-Match", "*"),
    ("Range", "bytes=0-1"),
    ("Cookie", "sessionid=" + "x" * 4000),
    ("Content-Encoding", "gzip"),
    ("Content-Length", "ten"),
    ("Content-Length", "-1"),
]


@pytest.mark.parametrize("door", doors.every(), ids=str)
@pytest.mark.parametrize(
    "credential",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer mv_live_",
        "Bearer mv_live_unknown-key-of-some-length-000000000000000",
        "Basic bXZfbGl2ZV86",
        "Bearer mv_live_é",
        "Bearer mv_live_x, Bearer mv_live_y",
        "Bearer " + "mv_live_" + "x" * 8000,
        "mv_live_x",
    ],
)
def test_whoever_is_not_signed_in_hears_the_same_words(
    door: Door, credential: str, acme: Actor, mine: dict[str, str]
) -> None:
    client = Actor(acme.customer, acme.application, "").client()
    headers = {"Authorization": credential} if credential else {}
    client.credentials()
    response = client.generic(door.method.upper(), door.address(mine), b"{", content_type="text/html", headers=headers)

    assert refusal(response) == (401, "unauthorized")
    assert response.json()["error"]["message"] == "a valid API key is required"


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=60)
TRICKY = st.sampled_from(
    [
        "a\r\nX-Evil: 1",
        "${channel(state)}",
        "{leg_timeout=1},[x]",
        "=cmd|' /C calc'!A0",
        "\u202eabc\u202c",
        "e\u0301\u0327",
        "👩\u200d👩\u200d👧",
        "\ufeffx",
        "\u2028\u2029",
        " \t x \n",
        "𝔘\U0010ffff",
    ]
)


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(TRICKY, ANY_TEXT))
def test_text_that_is_taken_comes_back_byte_for_byte(acme: Actor, text: str) -> None:
    client = acme.client()
    metadata = {text: text, "deep": [{"text": text}]}
    with undone():
        call = client.post(
            "/v1/calls", {"from": "+15551230001", "to": "+15551230002", "metadata": metadata}, format="json"
        )
        made = client.post("/v1/applications", {"name": text}, format="json")
        keyed = client.post(f"/v1/applications/{made.json()['id']}/keys", {"name": text}, format="json")
        trunk = client.post("/v1/trunks", {"name": text, "proxy": "sip.acme.example"}, format="json")

        for response in (call, made, keyed, trunk):
            assert response.status_code == 201, response.json()
        assert client.get(f"/v1/calls/{call.json()['id']}").json()["metadata"] == metadata == call.json()["metadata"]
        assert Call.objects.get().metadata == metadata
        for path, field in ((f"applications/{made.json()['id']}", made), (f"trunks/{trunk.json()['id']}", trunk)):
            assert client.get(f"/v1/{path}").json()["name"] == text == field.json()["name"]
        assert keyed.json()["name"] == text
