"""Asking an answer URL: what a receiver on a real socket is sent."""

import asyncio

from pytest_django.fixtures import Settings

from calls.flow.fetching import Fetched, Request, fetch
from minivoice.outbound import Client
from tests.webhooks.receiver import Receiver, respond


async def ask(request: Request) -> Fetched:
    async with Client() as client:
        return await fetch(client, request)


def test_is_signed_with_both_secrets_while_one_is_replaced(settings: Settings) -> None:
    with Receiver(respond(200, b'{"actions": [{"hangup": {}}]}')) as receiver:
        settings.OUTBOUND_ALLOWED = [receiver.place]
        request = Request(
            url=receiver.url, method="POST", context={"call_id": "x"}, secret="the new one", previous_secret="the old"
        )
        fetched = asyncio.run(ask(request))

    [sent] = receiver.requests
    assert fetched.failure == ""
    assert sent.body == b'{"call_id":"x"}'
    signatures = [sent.headers["x-minivoice-signature"], sent.headers["x-minivoice-signature-previous"]]
    assert len(set(signatures)) == 2
    assert all(signature.startswith("v1=") for signature in signatures)
