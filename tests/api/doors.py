"""Every method of every address of the API, and how to knock: names for the paths, bodies that succeed.

A new address fails the tests that use this until `own` makes what its path names and its body has an example.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from minivoice import clock, schema
from minivoice.openapi import examples
from minivoice.openapi.document import operations
from telephony.models import Number
from tests import factories
from tests.api.canon import canonical
from tests.calls import steps
from tests.calls.recordings.tape import shown
from tests.conftest import Actor
from webhooks.models import WebhookEvent


@dataclass(frozen=True, slots=True)
class Door:
    """One method of one address. `path` has its names in braces; `body` succeeds, and is None where none is read."""

    method: str
    path: str
    operation: schema.Operation
    body: dict[str, Any] | None

    def __str__(self) -> str:
        return self.operation.name

    @property
    def is_list(self) -> bool:
        """Whether it answers page by page."""
        return any(isinstance(each, schema.Page) and not each.is_whole for each in self.operation.answers.values())

    def address(self, names: Mapping[str, str]) -> str:
        """Return its path with these names, and the query that it cannot do without."""
        return self.path.format(**names) + ("?to=%2B15551230002" if str(self) == "look_up_rate" else "")

    def knock(self, actor: Actor, names: Mapping[str, str], **changes: Any) -> Any:
        """Send the request that succeeds, but for fields of its body that are changed."""
        body = None if self.body is None else {**_named(self.body, names), **changes}
        content = {"data": body, "format": "json"} if body is not None else {}
        return getattr(actor.client(), self.method)(self.address(names), **content)


@cache
def every() -> list[Door]:
    """Return every door; `test_openapi` sees to it that none is left out."""
    return [Door(method, path, operation, _body(operation)) for path, _, method, operation in operations()]


def own(actor: Actor) -> dict[str, str]:
    """Make one of all that a path can name for `actor`; return the names by what paths call them.

    The call is up; the engine is a Tape.
    """
    actor.customer.caller_id_policy = "any"
    actor.customer.save()
    actor.application.webhook_url = "https://example.com/webhooks"
    actor.application.save()
    factories.issue_key(actor.application, "calls")
    number = Number.objects.filter(customer=actor.customer).first() or factories.NumberFactory(
        customer=actor.customer, application=actor.application, number_e164="+15551239999"
    )
    trunk = factories.TrunkFactory(customer=actor.customer, proxy="sip.acme.example")
    call = steps.dial(actor)
    steps.answer(call, at=clock.now())
    recording = shown(call)
    return {
        "application_id": actor.application.public_id,
        "key_id": actor.application.keys.latest("id").public_id,
        "call_id": call.public_id,
        "delivery_id": WebhookEvent.objects.get(call_id=call.public_id, type="call.created").delivery_id,
        "did_id": number.public_id,
        "number_e164": number.number_e164,
        "trunk_id": trunk.public_id,
        "recording_id": recording.public_id,
    }


def _body(operation: schema.Operation) -> dict[str, Any] | None:
    if operation.body is None:
        return None
    shown: dict[str, Any] = next(iter(examples.requests(operation.name).values()))["value"]
    return shown


def _named(body: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The body with the names of this run for the ids that examples are written with."""
    text = json.dumps(body)
    for name in names.values():
        text = text.replace(canonical(name), name)
    named: dict[str, Any] = json.loads(text)
    return named
