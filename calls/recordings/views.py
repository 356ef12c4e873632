"""Recordings over HTTP. Doors only: read the input, one domain call, write the answer."""

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from django.http import HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from applications.models import ApiKey
from calls import commands as calls
from calls.recordings import commands, links, listening, rendering
from minivoice import api, clock, errors, inputs, schema

ACTIONS = ["start", "stop"]


class CommandForm(inputs.Form):
    """The body of `POST /v1/calls/:id/recordings`."""

    action = inputs.Choice(ACTIONS, required=False, default="start")


COMMAND_FORM = CommandForm()


class CommandedObject(TypedDict):
    """What was asked for, and the recording it is about."""

    call_id: schema.Id
    provider_call_id: str | None
    action: Annotated[str, schema.Keywords({"enum": ACTIONS})]
    recording: rendering.RecordingObject


class CommandedAnswer(TypedDict):
    data: CommandedObject


class RecordingsOfCall(api.View):
    """`POST /v1/calls/:id/recordings` begins or ends to record a call; `GET` lists what was recorded, newest first."""

    not_found = errors.CallNotFound

    @schema.operation(
        "record_call",
        "Record a call, or stop it",
        description="A call has one recording at a time: `start` answers with the one that runs, if there is one. "
        "After `stop` the audio is there in a moment, which `recording.completed` tells.",
        body=CommandForm,
        answers={200: CommandedAnswer},
        errors=[
            errors.InvalidAction,
            errors.ActiveCallNotFound,
            errors.RecordingNotStarted,
            errors.CallUuidMissing,
            errors.RecordingStartFailed,
            errors.RecordingStopFailed,
        ],
        scope=ApiKey.Scope.CALLS,
    )
    def post(self, request: Request, call_id: str) -> Response:
        now = clock.now()
        action = _action(request)
        call = calls.find(caller(request).application.pk, call_id)
        command = commands.start if action == "start" else commands.stop
        recording = rendering.recording(command(call=call, now=now), now=now)
        answer: CommandedObject = {
            "call_id": recording["call_id"],
            "provider_call_id": recording["provider_call_id"],
            "action": action,
            "recording": recording,
        }
        return Response({"data": answer})

    @schema.operation(
        "list_call_recordings",
        "List a call's recordings, newest first",
        answers={200: schema.page_of(rendering.RecordingObject)},
    )
    def get(self, request: Request, call_id: str) -> Response:
        now = clock.now()
        call = calls.find(caller(request).application.pk, call_id)
        return api.page(request, commands.of(call), lambda row: rendering.recording(row, now=now))


class OneRecording(api.View):
    """`GET /v1/recordings/:id`, and `DELETE`, which erases its audio."""

    not_found = errors.RecordingNotFound

    @schema.operation("get_recording", "Get a recording", answers={200: rendering.RecordingObject})
    def get(self, request: Request, recording_id: str) -> Response:
        recording = commands.find(caller(request).application.pk, recording_id)
        return Response(rendering.recording(recording, now=clock.now()))

    @schema.operation(
        "delete_recording",
        "Erase the audio of a recording",
        description="One that runs ends. The recording itself stays, as `deleted`.",
        answers={200: rendering.RecordingObject},
        scope=ApiKey.Scope.CALLS,
    )
    def delete(self, request: Request, recording_id: str) -> Response:
        now = clock.now()
        recording = commands.find(caller(request).application.pk, recording_id)
        return Response(rendering.recording(commands.delete(recording=recording, now=now), now=now))


class Audio(api.View):
    """`GET /v1/recordings/:id/audio` streams the audio, or a range of it."""

    not_found = errors.RecordingNotFound
    is_by_link = False

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Ask for a key, unless the request is a good link to the recording that the path names."""
        query, public_id = self.request.GET.dict(), self.kwargs["recording_id"]
        self.is_by_link = links.is_good(query, public_id=public_id, now=clock.now())
        return [] if self.is_by_link else super().get_authenticators()

    def get_permissions(self) -> Sequence[Any]:
        """Let a good link in."""
        return [] if self.is_by_link else super().get_permissions()

    @schema.operation(
        "get_recording_audio",
        "Get the audio of a recording",
        description="8 kHz, 16 bit WAV: left what the party on the call's own channel says, right what it hears; a "
        "voicemail has one channel. One `Range` of bytes is answered with 206. Needs a key, or `expires` and "
        "`signature` of the `file_url` that `GET /v1/recordings/{recording_id}` answers.",
        answers={200: "audio/wav", 206: "audio/wav"},
        errors=[errors.RangeNotSatisfiable],
        query=[
            schema.Query("expires", "of a link: when it does, in Unix seconds"),
            schema.Query("signature", "of a link"),
        ],
    )
    def get(self, request: Request, recording_id: str) -> HttpResponseBase:
        if self.is_by_link:
            recording = commands.by_link(recording_id)
        else:
            recording = commands.find(caller(request).application.pk, recording_id)
        reader = recording.call.customer.public_id
        return listening.respond(recording, wanted=request.headers.get("Range"), reader=reader)


def _action(request: Request) -> str:
    try:
        action: str = api.clean(COMMAND_FORM, request.data)["action"]
    except errors.InvalidRequest:
        raise errors.InvalidAction(param="action") from None
    return action
