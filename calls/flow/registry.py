"""Which step runs an action of which name: the names are those of `calls.flow.actions`."""

from collections.abc import Mapping

from calls.flow.joining import Bridge, Conference, Transfer
from calls.flow.line_state import Hold, Mute, Resume, Unmute
from calls.flow.recording import Record, StartRecording, StopRecording
from calls.flow.speaking import Gather, Play, Say, SendDigits
from calls.flow.steps import (
    Hangup,
    Pause,
    Redirect,
    Reject,
    RemoveVariables,
    SetVariables,
    Step,
    Unavailable,
)

STEPS: Mapping[str, type[Step]] = {
    "say": Say,
    "play": Play,
    "pause": Pause,
    "gather": Gather,
    "send_digits": SendDigits,
    "redirect": Redirect,
    "hold": Hold,
    "resume": Resume,
    "mute": Mute,
    "unmute": Unmute,
    "set_variables": SetVariables,
    "remove_variables": RemoveVariables,
    "start_recording": StartRecording,
    "stop_recording": StopRecording,
    "record": Record,
    "start_stream": Unavailable,
    "stop_stream": Unavailable,
    "transfer": Transfer,
    "bridge": Bridge,
    "conference": Conference,
    "hangup": Hangup,
    "reject": Reject,
}
