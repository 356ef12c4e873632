"""Webhooks over HTTP."""

from typing import Annotated, Any, TypedDict

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from applications import events
from applications.authentication import caller
from applications.models import ApiKey, Application
from minivoice import api, clock, errors, inputs, schema
from webhooks import feed, listing, outbox, rendering, replays
from webhooks.models import WebhookEvent


class LogForm(inputs.Form):
    """The query of `GET /v1/webhooks/deliveries`."""

    event = inputs.Choice(sorted({outbox.TEST} | events.DOCUMENTED | events.CHOSEN), required=False)
    call_id = inputs.Text(required=False, max_length=64)
    status = inputs.Choice(WebhookEvent.Status.values, required=False)


class ReplayForm(inputs.Form):
    """The body of `POST /v1/webhooks/replay`."""

    to = inputs.Moment()
    status = inputs.Choice([status for status in WebhookEvent.Status.values if status != WebhookEvent.Status.PENDING])
    cursor = inputs.Text(required=False, max_length=64)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Put `from`, a word of Python's own, before the others."""
        return {"from": inputs.Moment(), **super().get_fields()}


LOG_FORM = LogForm()
REPLAY_FORM = ReplayForm()


class TestEventObject(TypedDict):
    """What was published: the event and its delivery, by which the receiver's headers and the log name it."""

    event_id: schema.Id
    delivery_id: schema.Id
    event: str
    url: str
    created_at: schema.Time


class ReplayObject(TypedDict):
    """How many deliveries are under way again, and the `cursor` to go on with, null when the range is done."""

    replayed: int
    next_cursor: str | None


class FeedObject(TypedDict):
    """Events in the order of the feed, oldest first. `next_cursor` is the `after` to go on with, now or later."""

    data: list[rendering.EventObject]
    count: Annotated[int, "how many are in `data`"]
    next_cursor: str


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


class Deliveries(api.View):
    """`GET /v1/webhooks/deliveries`: the log."""

    @schema.operation(
        "list_deliveries",
        "List the deliveries of webhook events",
        description="`pending` ones are tried again at `next_attempt_at`, `exhausted` ones no more; `unaddressed` "
        "are events from when the application had no `webhook_url`.",
        answers={200: schema.page_of(rendering.DeliveryObject)},
        query=LogForm,
    )
    def get(self, request: Request) -> Response:
        wanted = api.clean(LOG_FORM, request.query_params.dict())
        rows = listing.deliveries(application=caller(request).application, wanted=wanted)
        return api.page(request, rows, rendering.delivery)


class OneDelivery(api.View):
    """`GET /v1/webhooks/deliveries/:id`: a delivery with its attempts."""

    @schema.operation("get_delivery", "Show a delivery and its attempts", answers={200: rendering.OneDeliveryObject})
    def get(self, request: Request, delivery_id: str) -> Response:
        return Response(rendering.one_delivery(_find(request, delivery_id)))


class ReplayOne(api.View):
    """`POST /v1/webhooks/deliveries/:id/replay`: send it again."""

    @schema.operation(
        "replay_delivery",
        "Send an event again",
        description="Whatever became of it, the same bytes are sent at once to the application's present "
        "`webhook_url`, with the same event id, and the schedule of retries starts over. A delivery that is being "
        "attempted, or was replayed within the last five seconds, stays as it is.",
        answers={200: rendering.OneDeliveryObject},
        errors=[errors.InvalidRequest],
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request, delivery_id: str) -> Response:
        event = _find(request, delivery_id)
        replays.replay_one(event, now=clock.now())
        return Response(rendering.one_delivery(event))


class ReplayRange(api.View):
    """`POST /v1/webhooks/replay`: send the events of a time again."""

    @schema.operation(
        "replay_deliveries",
        "Send the events of a time again",
        description="Those made at `from` or later and before `to` whose delivery has the `status`, oldest first, "
        "each as `replay_delivery` sends it; what is pending is sent without being asked for. One request sees to "
        "10,000 of them at most: ask again with `cursor`, and the rest as before, until `next_cursor` is null.",
        body=ReplayForm,
        answers={200: ReplayObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request) -> Response:
        form = api.clean(REPLAY_FORM, request.data)
        done = replays.replay_range(
            caller(request).application,
            status=form["status"],
            since=form["from"],
            until=form["to"],
            after=api.position(form["cursor"], keys=1)[0] if "cursor" in form else None,
            now=clock.now(),
        )
        following = None if done.last_seen is None else api.cursor(done.last_seen)
        body: ReplayObject = {"replayed": done.replayed, "next_cursor": following}
        return Response(body)


class Feed(api.View):
    """`GET /v1/events`: every event, for who would rather pull, or must fill a gap."""

    @schema.operation(
        "read_events",
        "Read every event, in an order that passes over none",
        description="Whether or not they could be delivered, from the oldest that is kept. Go on with `next_cursor` "
        "as `after`: a page that is not full has all there is yet, and its cursor goes on from there. An event is "
        "shown once everything that began before it is done, as a rule within a second; those of one call may meet "
        "you in another order than their `sequence`.",
        answers={200: FeedObject},
        query=[
            schema.Query("after", "the `next_cursor` of the page before"),
            schema.Query("limit", "how many at most", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        ],
    )
    def get(self, request: Request) -> Response:
        after = request.query_params.get("after")
        place = feed.Place() if after is None else feed.Place(*api.position(after, keys=2, param="after"))
        page = feed.read(caller(request).application, after=place, limit=api.limit(request))
        data = [rendering.event(body) for body in page.bodies]
        return Response(
            {"data": data, "count": len(data), "next_cursor": api.cursor(page.end.transaction, page.end.key)}
        )


def _find(request: Request, delivery_id: str) -> WebhookEvent:
    own = WebhookEvent.objects.filter(application=caller(request).application).defer("body")
    return api.find(own.select_related("application"), delivery_id=delivery_id)
