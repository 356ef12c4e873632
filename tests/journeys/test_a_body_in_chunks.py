"""A body without a `Content-Length`, as some HTTP libraries send every body: read like any other."""

from collections.abc import Callable

import requests

from tests.journeys.stage import Integrator

PIECES = [b'{"from": "+15551230001", ', b'"to": "+155512', b'30486"}']


def create(acme: Integrator, pieces: list[bytes]) -> requests.Response:
    headers = {"Authorization": f"Bearer {acme.key}", "Content-Type": "application/json"}
    return requests.post(f"{acme.base_url}/v1/calls", data=iter(pieces), headers=headers, timeout=20)


def test_is_read_as_a_whole(hire: Callable[..., Integrator]) -> None:
    created = create(hire(), PIECES)

    assert (created.status_code, created.json()["to"]) == (201, "+15551230486")


def test_is_refused_when_it_is_too_large(hire: Callable[..., Integrator]) -> None:
    refused = create(hire(), [b"{", *[b" " * 8192] * 8, b"}"])

    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
