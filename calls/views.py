"""Calls over HTTP. Doors only: read the input, one domain call, write the answer."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from applications.models import ApiKey
from calls import commands, rendering, timeline
from calls.models import Call
from minivoice import api, clock, errors, inputs, logs

MAX_DURATION_SECONDS = 14_400


class CallForm(inputs.Form):
    """The body of `POST /v1/calls`."""

    to = inputs.E164()
    metadata = inputs.Metadata(required=False, default=dict)
    record = inputs.Flag(required=False, default=False)
    timeout_seconds = inputs.Whole(required=False, default=60, min_value=5, max_value=120)
    max_duration_seconds = inputs.Whole(
        required=False, default=MAX_DURATION_SECONDS, min_value=1, max_value=MAX_DURATION_SECONDS
    )
    answer_url = inputs.Url(required=False, default="")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Put `from`, a word of Python's own, before the others."""
        return {"from": inputs.E164(), **super().get_fields()}


CALL_FORM = CallForm()


class Calls(api.View):
    """`POST /v1/calls` places a call; `GET` lists the application's, newest first."""

    scopes = {"POST": ApiKey.Scope.CALLS}

    def post(self, request: Request) -> Response:
        now = clock.now()
        form = api.clean(CALL_FORM, request.data)
        metadata = {**form["metadata"], "record": True} if form["record"] else form["metadata"]
        order = commands.Order(
            from_number=form["from"],
            to_number=form["to"],
            metadata=metadata,
            answer_url=form["answer_url"],
            ring_seconds=form["timeout_seconds"],
            max_duration_seconds=form["max_duration_seconds"],
        )
        call = commands.place(caller=caller(request), order=order, request_id=logs.request_id.get(), now=now)
        return Response(rendering.call(commands.await_engine(call)), status=201)

    def get(self, request: Request) -> Response:
        calls = Call.objects.filter(application=caller(request).application)
        return api.page(request, calls.select_related("application", "customer", "trunk"), rendering.call)


class OneCall(api.View):
    """`GET /v1/calls/:id`."""

    not_found = errors.CallNotFound

    def get(self, request: Request, call_id: str) -> Response:
        return Response(rendering.call(commands.find(caller(request).application.pk, call_id)))


class Hangup(api.View):
    """`POST /v1/calls/:id/hangup` ends a call, or cancels one not yet answered."""

    not_found = errors.CallNotFound
    scopes = {"POST": ApiKey.Scope.CALLS}

    def post(self, request: Request, call_id: str) -> Response:
        call = commands.find(caller(request).application.pk, call_id)
        return Response(rendering.call(commands.hang_up(call=call, now=clock.now())))


class Timeline(api.View):
    """`GET /v1/calls/:id/events`: everything that happened to a call, oldest first."""

    not_found = errors.CallNotFound

    def get(self, request: Request, call_id: str) -> Response:
        lines = timeline.read(commands.find(caller(request).application.pk, call_id))
        return Response({"data": lines, "count": len(lines), "next_cursor": None})
