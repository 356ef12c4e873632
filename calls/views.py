"""Calls over HTTP. Doors only: read the input, one domain call, write the answer."""

import re
from typing import Any, TypedDict

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from applications.models import ApiKey, Application
from calls import commands, explanation, idempotency, listing, rendering, timeline, usage
from calls.flow import document
from calls.models import Call, Reason, Status
from minivoice import api, clock, errors, inputs, logs, schema

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


class ActionsForm(inputs.Form):
    """The body of `POST /v1/calls/:id/actions`: one of `actions` and `url`."""

    actions = inputs.Items(required=False)
    url = inputs.Url(required=False, default="")
    method = inputs.Choice(Application.Method.values, required=False, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("actions" in attrs) is bool(attrs["url"]):
            raise serializers.ValidationError({"actions": "or url is required, and not both"})
        return attrs


class DocumentForm(inputs.Form):
    """The body of `POST /v1/actions/validate`: a document as an answer URL would answer it."""

    actions = inputs.Items()


class FilterForm(inputs.Form):
    """The query of `GET /v1/calls`."""

    status = inputs.Choice(Status.values, required=False)
    direction = inputs.Choice(Call.Direction.values, required=False)
    to = inputs.QueryNumber(required=False)
    created_after = inputs.Moment(required=False)
    created_before = inputs.Moment(required=False)
    parent_call_id = inputs.Text(required=False, max_length=64)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": inputs.QueryNumber(required=False), **super().get_fields()}


class UsageForm(inputs.Form):
    """The query of `GET /v1/usage`."""

    to = inputs.DayOrMoment(required=False)
    group_by = inputs.Choice(usage.GROUPS, required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": inputs.DayOrMoment(required=False), **super().get_fields()}


CALL_FORM = CallForm()
ACTIONS_FORM = ActionsForm()
DOCUMENT_FORM = DocumentForm()
FILTER_FORM = FilterForm()
USAGE_FORM = UsageForm()
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_REFUSALS = (
    errors.RateNotFound,
    errors.NoActiveTrunk,
    errors.InsufficientBalance,
    errors.SpendControlExceeded,
    errors.DestinationBlocked,
    errors.CallerIdNotAllowed,
    errors.CpsLimitReached,
    errors.ConcurrentCallLimitReached,
)


class Calls(api.View):
    """`POST /v1/calls` places a call; `GET` lists the application's, newest first."""

    @schema.operation(
        "create_call",
        "Place a call",
        body=CallForm,
        answers={201: rendering.CallObject},
        errors=[*_REFUSALS, errors.OriginateFailed, errors.IdempotencyInProgress, errors.IdempotencyKeyReused],
        scope=ApiKey.Scope.CALLS,
        is_idempotent=True,
    )
    def post(self, request: Request) -> Response:
        now = clock.now()
        order = _order(request)
        placed = commands.place(
            caller=caller(request), order=order, key=_key(request), request_id=logs.request_id.get(), now=now
        )
        if placed.is_replay:
            return _replay(placed.call)
        return Response(rendering.call(commands.await_engine(placed.call)), status=201)

    @schema.operation(
        "list_calls",
        "List the application's calls, newest first",
        query=FilterForm,
        answers={200: schema.page_of(rendering.CallObject)},
    )
    def get(self, request: Request) -> Response:
        wanted = api.clean(FILTER_FORM, request.query_params.dict())
        calls = listing.calls(application=caller(request).application, wanted=wanted)
        return api.page(request, calls.select_related("application", "customer", "trunk"), rendering.call)


class Explain(api.View):
    """`POST /v1/calls/explain`: what would become of this very create, without making it."""

    @schema.operation(
        "explain_call",
        "Explain what would become of a call, without placing it",
        body=CallForm,
        answers={200: explanation.ExplanationObject},
    )
    def post(self, request: Request) -> Response:
        now = clock.now()
        order = _order(request)
        facts = commands.explain(caller=caller(request), order=order, now=now)
        return Response(explanation.describe(facts, max_duration_seconds=order.max_duration_seconds))


class OneCall(api.View):
    """`GET /v1/calls/:id`."""

    not_found = errors.CallNotFound

    @schema.operation("get_call", "Get a call", answers={200: rendering.CallObject})
    def get(self, request: Request, call_id: str) -> Response:
        return Response(rendering.call(commands.find(caller(request).application.pk, call_id)))


class Hangup(api.View):
    """`POST /v1/calls/:id/hangup` ends a call, or cancels one not yet answered."""

    not_found = errors.CallNotFound

    @schema.operation(
        "hang_up_call",
        "Hang up a call, or cancel one not yet answered",
        description="A call that has ended stays as it is.",
        answers={200: rendering.CallObject},
        scope=ApiKey.Scope.CALLS,
    )
    def post(self, request: Request, call_id: str) -> Response:
        call = commands.find(caller(request).application.pk, call_id)
        return Response(rendering.call(commands.hang_up(call=call, now=clock.now())))


class Actions(api.View):
    """`POST /v1/calls/:id/actions` has a live call follow other instructions from now on."""

    not_found = errors.CallNotFound

    @schema.operation(
        "replace_call_actions",
        "Have a live call follow other instructions",
        description="Give `actions`, or the `url` to ask for them. What the call does at the moment is stopped "
        "within a second; a call that is not answered yet begins with them instead of its answer URL's.",
        body=ActionsForm,
        answers={200: rendering.CallObject},
        errors=[errors.CallAlreadyEnded],
        scope=ApiKey.Scope.CALLS,
    )
    def post(self, request: Request, call_id: str) -> Response:
        now = clock.now()
        form = api.clean(ACTIONS_FORM, request.data)
        call = commands.find(caller(request).application.pk, call_id)
        call = commands.instruct(call=call, actions=_actions(form), url=form["url"], method=form["method"], now=now)
        return Response(rendering.call(call))


class ValidityObject(TypedDict):
    """What is said of a document that breaks no rule."""

    valid: bool


class ValidateActions(api.View):
    """`POST /v1/actions/validate` checks a document without a call."""

    @schema.operation(
        "validate_actions",
        "Check a document without a call",
        description="A document that breaks a rule is an `invalid_request` whose `param` is the place. The JSON Schema "
        "is at `/v1/schemas/actions.json`.",
        body=DocumentForm,
        answers={200: ValidityObject},
    )
    def post(self, request: Request) -> Response:
        _actions(api.clean(DOCUMENT_FORM, request.data))
        return Response({"valid": True})


class Timeline(api.View):
    """`GET /v1/calls/:id/events`: everything that happened to a call, oldest first."""

    not_found = errors.CallNotFound

    @schema.operation(
        "list_call_events",
        "List what happened to a call, oldest first",
        answers={200: schema.whole_list_of(timeline.TimelineEventObject)},
    )
    def get(self, request: Request, call_id: str) -> Response:
        lines = timeline.read(commands.find(caller(request).application.pk, call_id))
        return Response({"data": lines, "count": len(lines), "next_cursor": None})


class UsageView(api.View):
    """`GET /v1/usage`: what the application's calls came to in a period."""

    @schema.operation(
        "get_usage",
        "Sum up a period's calls",
        description="Calls settled in `[from, to)`, whatever became of them; the UTC month of now unless told "
        "otherwise. `group_by` adds `data`.",
        answers={200: usage.UsageObject},
        query=UsageForm,
    )
    def get(self, request: Request) -> Response:
        start, end = usage.month_of(clock.now())
        wanted = api.clean(USAGE_FORM, request.query_params.dict())
        start, end, group_by = wanted.get("from", start), wanted.get("to", end), wanted.get("group_by", "")
        if start >= end:
            raise errors.InvalidRequest("from must be before to", param="from" if "from" in wanted else "to")
        application = caller(request).application
        return Response(usage.report(application=application, start=start, end=end, group_by=group_by))


def _order(request: Request) -> commands.Order:
    form = api.clean(CALL_FORM, request.data)
    return commands.Order(
        from_number=form["from"],
        to_number=form["to"],
        metadata={**form["metadata"], "record": True} if form["record"] else form["metadata"],
        answer_url=form["answer_url"],
        ring_seconds=form["timeout_seconds"],
        max_duration_seconds=form["max_duration_seconds"],
    )


def _actions(form: dict[str, Any]) -> list[document.Action] | None:
    if "actions" not in form:
        return None
    try:
        return document.check(form)
    except document.InvalidDocument as error:
        param = error.path.removeprefix("$.")
        raise errors.InvalidRequest(f"{param} {error.rule}", param=param) from error


def _key(request: Request) -> idempotency.Key | None:
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise errors.InvalidRequest(
            "Idempotency-Key must be 1 to 255 printable ASCII characters", param="Idempotency-Key"
        )
    return idempotency.Key(text, api.body_digest(request))


def _replay(call: Call) -> Response:
    """Answer as the first request was, from the call as it now is."""
    headers = {"Idempotent-Replayed": "true"}
    if call.end_reason == Reason.ORIGINATE_FAILED:
        error = errors.OriginateFailed(extra={"call_id": call.public_id})
        return Response(api.envelope(error), status=error.status_code, headers=headers)
    return Response(rendering.call(call), status=201, headers=headers)
