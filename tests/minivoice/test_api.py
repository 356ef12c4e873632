"""What every endpoint shares: the JSON door, the envelope's headers, request ids, cursor lists."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from applications.models import Application
from calls.models import Call
from minivoice import strictjson
from tests import factories
from tests.conftest import Actor, refusal
from tests.minivoice.test_strictjson import POISON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials")]


def post(acme: Actor, body: bytes, content_type: str = "application/json", **headers: str) -> Any:
    return acme.client().generic("POST", "/v1/calls", body, content_type=content_type, headers=headers)


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
def test_poison_is_a_documented_400_and_changes_nothing(acme: Actor, body: bytes) -> None:
    assert refusal(post(acme, body)) == (400, "invalid_json")
    assert not Call.objects.exists()


@pytest.mark.parametrize("name", POISON)
def test_poison_inside_metadata_is_refused_too(acme: Actor, name: str) -> None:
    body = b'{"from": "+15551230001", "to": "+15551230002", "metadata": ' + POISON[name] + b"}"
    expected = "invalid_request" if name in {"an array", "a string"} else "invalid_json"

    if name == "null":
        assert post(acme, body).status_code == 201  # null stands for "not given"
    else:
        assert refusal(post(acme, body)) == (400, expected)


def test_a_nesting_of_100_000_is_refused(acme: Actor) -> None:
    assert refusal(post(acme, b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}")) == (400, "invalid_json")
    assert refusal(post(acme, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")) == (413, "payload_too_large")


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(acme: Actor, call_body: dict[str, Any]) -> None:
    body = json.dumps(call_body).encode()

    assert post(acme, body.ljust(strictjson.MAX_BYTES)).status_code == 201
    assert refusal(post(acme, body.ljust(strictjson.MAX_BYTES + 1))) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        'application/json; charset="utf-7"',
        "text/plain",
        "text/json",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_anything_but_json_in_utf_8_is_415(acme: Actor, content_type: str) -> None:
    assert refusal(post(acme, b"{}", content_type)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", 'APPLICATION/JSON;charset="utf8"'])
def test_utf_8_may_be_spelt_in_several_ways(acme: Actor, call_body: dict[str, Any], content_type: str) -> None:
    assert post(acme, json.dumps(call_body).encode(), content_type).status_code == 201


def test_an_absent_body_is_an_empty_object(acme: Actor) -> None:
    response = post(acme, b"")

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "from"
    assert response.json()["error"]["message"] == "from is required"


@pytest.mark.parametrize(
    "text",
    [
        "ä e\u0301 \u2028\u2029 𝄞 \U0010ffff",
        "line\r\nbreak\ttab \x7f \x1b",
        "'; DROP TABLE calls_call; -- \\ \" <b>&amp;</b> ${x} {{y}} %s %(z)s",
        "\ufeff\u200b\u202e",
    ],
)
def test_accepted_text_comes_back_byte_for_byte(acme: Actor, call_body: dict[str, Any], text: str) -> None:
    metadata = {text: text, "list": [text, {"deep": text}]}
    created = post(acme, json.dumps({**call_body, "metadata": metadata}).encode()).json()

    assert created["metadata"] == metadata
    assert acme.client().get(f"/v1/calls/{created['id']}").json()["metadata"] == metadata


@pytest.mark.parametrize("given", ["a-request.id_1", "x" * 64])
def test_keeps_a_well_formed_request_id(acme: Actor, given: str) -> None:
    assert acme.client().get("/v1/balance", headers={"X-Request-Id": given})["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "émigré-id", "a\nb-c-d-e-f"])
def test_replaces_an_ill_formed_request_id(acme: Actor, given: str) -> None:
    request_id = acme.client().get("/v1/balance", headers={"X-Request-Id": given})["X-Request-Id"]

    assert request_id != given
    assert len(request_id) == 24


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/calls/", "/v1/calls/a/b/c", "/v1/nothing", "/nothing", "/"])
def test_an_unknown_path_is_a_json_404(acme: Actor, path: str) -> None:
    assert refusal(acme.client().get(path)) == (404, "not_found")
    assert refusal(acme.client().post(path, {}, format="json")) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/calls", {"GET", "HEAD", "POST"}),
        ("/v1/balance", {"GET", "HEAD"}),
        ("/v1/calls/x/hangup", {"POST"}),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_another_method_is_405_and_names_those_allowed(acme: Actor, path: str, allowed: set[str], method: str) -> None:
    response = acme.client().generic(method, path)

    assert refusal(response) == (405, "method_not_allowed")
    assert set(response["Allow"].split(", ")) == allowed


def test_head_is_get_without_its_body(acme: Actor) -> None:
    head, get = acme.client().head("/v1/balance"), acme.client().get("/v1/balance")

    assert (head.status_code, head["Content-Type"]) == (200, get["Content-Type"])


def test_options_is_another_method(acme: Actor) -> None:
    assert refusal(acme.client().options("/v1/calls")) == (405, "method_not_allowed")
    assert refusal(APIClient().options("/v1/calls")) == (401, "unauthorized")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*", "nonsense"])
def test_answers_json_whatever_is_asked(acme: Actor, accept: str) -> None:
    response = acme.client().get("/v1/balance", headers={"Accept": accept})

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


def test_a_format_in_the_query_changes_nothing(acme: Actor) -> None:
    assert acme.client().get("/v1/balance?format=html")["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer mv_live_unknown",
        "Bearer mv_test_unknown",
        "Token {key}",
        "Bearer {key}x",
        "Bearer  {key}",
        "Bearer {key} ",
        "Bearer mv_live_ä",
        "Bearer mv_live_\x00",
    ],
)
def test_every_failure_to_sign_in_is_the_same_401(acme: Actor, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(key=acme.key)}
    response = APIClient().get("/v1/balance", headers=headers)

    assert refusal(response) == (401, "unauthorized")
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"]["message"] == "a valid API key is required"


def names(page: dict[str, Any]) -> list[str]:
    assert page["count"] == len(page["data"])
    return [row["name"] for row in page["data"]]


def add(acme: Actor, *new: str) -> None:
    for name in new:
        factories.ApplicationFactory(customer=acme.customer, name=name)


def test_lists_newest_first_in_pages_that_inserts_do_not_shift(acme: Actor) -> None:
    Application.objects.update(name="1")
    add(acme, "2", "3", "4", "5")
    client = acme.client()

    first = client.get("/v1/applications?limit=2").json()
    add(acme, "6", "7")
    second = client.get("/v1/applications", {"limit": 2, "cursor": first["next_cursor"]}).json()
    third = client.get("/v1/applications", {"limit": 2, "cursor": second["next_cursor"]}).json()

    assert [names(first), names(second), names(third)] == [["5", "4"], ["3", "2"], ["1"]]
    assert third["next_cursor"] is None


def test_a_page_that_ends_with_the_last_row_has_no_next(acme: Actor) -> None:
    add(acme, "2")

    assert acme.client().get("/v1/applications?limit=2").json()["next_cursor"] is None


def test_a_page_costs_the_same_number_of_queries_however_long(acme: Actor, django_assert_num_queries: Any) -> None:
    add(acme, *map(str, range(20)))

    with django_assert_num_queries(2):
        acme.client().get("/v1/applications?limit=5")
    with django_assert_num_queries(2):
        acme.client().get("/v1/applications?limit=20")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "+5", "", "x", "5.0", "１０", "٥", "5\n", " 5", "1e2", "0x10"])
def test_refuses_a_limit_that_is_not_1_to_200(acme: Actor, limit: str) -> None:
    response = acme.client().get("/v1/applications", {"limit": limit})

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "limit"


@pytest.mark.parametrize(
    "cursor", ["", "x", "====", "MQ==\n", "ä", "\x00", "LTE", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA", "_w", "w6Q", "2aE"]
)
def test_refuses_a_cursor_that_no_list_gave_out(acme: Actor, cursor: str) -> None:
    response = acme.client().get("/v1/applications", {"cursor": cursor})

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "cursor"
