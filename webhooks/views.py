"""Webhooks over HTTP."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from applications.models import ApiKey, Application
from minivoice import api, clock, errors, schema
from webhooks import outbox


class TestEventObject(TypedDict):
    """What was published: the event and its delivery, by which the receiver's headers and the log name it."""

    event_id: schema.Id
    delivery_id: schema.Id
    event: str
    url: str
    created_at: schema.Time


class TestEvent(api.View):
    """`POST /v1/applications/:id/test-event`: a sample event by the way all events go."""

    @schema.operation(
        "send_test_event",
        "Send a sample event",
        description="An event `webhook.test`, with `call` null, goes to the application's `webhook_url`: signed, "
        "repeated and logged as all events are.",
        answers={201: TestEventObject},
        errors=[errors.InvalidRequest],
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request, application_id: str) -> Response:
        own = Application.objects.filter(customer=caller(request).customer).select_related("customer")
        application = api.find(own, public_id=application_id)
        event = outbox.publish_test(application, now=clock.now())
        body: TestEventObject = {
            "event_id": event.public_id,
            "delivery_id": event.delivery_id,
            "event": event.type,
            "url": event.url,
            "created_at": clock.text(event.created_at),
        }
        return Response(body, status=201)
