"""The types of all actions: the documents are read by them, and the published JSON Schema is made of them.

What runs an action is its step: `calls.flow.registry`.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from minivoice import inputs
from telephony import sip, voices


class Spoken(inputs.Form):
    """What is said in a voice: that of `voice`, the best of `language`, or the usual one, which has no name here."""

    voice = inputs.Text(required=False, max_length=64)
    language = inputs.Text(required=False, max_length=35)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Settle on a voice."""
        voice, language = attrs.pop("voice", ""), attrs.pop("language", "")
        try:
            chosen = voices.choose(voice=voice, language=language)
        except voices.UnknownVoice as error:
            raise serializers.ValidationError({"voice": "must be an id of GET /v1/voices"}) from error
        except voices.UnknownLanguage as error:
            says = f"must be one that {voice} speaks" if voice else "must be one of GET /v1/voices"
            raise serializers.ValidationError({"language": says}) from error
        return {**attrs, "voice": chosen} if chosen else attrs


class Say(Spoken):
    """Speak a text to its end."""

    text = inputs.Text(max_length=4000)


class Play(inputs.Form):
    """Play a WAV or MP3 to its end, as often as it is to be heard."""

    url = inputs.Url()
    loop = inputs.Whole(required=False, default=1, min_value=1, max_value=100)


class Pause(inputs.Form):
    """Wait."""

    seconds = inputs.Number(min_value=0.1, max_value=60)


class Gather(Spoken):
    """Collect keys that the far end presses; those pressed during the prompt stop it, and count."""

    prompt = inputs.Text(required=False, default="", max_length=4000)
    num_digits = inputs.Whole(required=False, default=1, min_value=1, max_value=64)
    min_digits = inputs.Whole(required=False, min_value=1, max_value=64)
    max_digits = inputs.Whole(required=False, min_value=1, max_value=64)
    timeout_seconds = inputs.Whole(required=False, default=5, min_value=1, max_value=30)
    finish_on_key = inputs.Choice("0123456789*#", required=False, default="")
    sensitive = inputs.Flag(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`min_digits` and `max_digits` win over `num_digits`."""
        most = attrs.get("max_digits") or max(attrs["num_digits"], attrs.get("min_digits", 1))
        least = attrs.get("min_digits") or (1 if "max_digits" in attrs else attrs["num_digits"])
        if least > most:
            raise serializers.ValidationError({"min_digits": "must not exceed max_digits"})
        del attrs["num_digits"]
        return super().validate({**attrs, "min_digits": least, "max_digits": most})


class Redirect(inputs.Form):
    """Ask another URL for the instructions from here on."""

    url = inputs.Url()
    method = inputs.Choice(("GET", "POST"), required=False, default="GET")
    max_redirects = inputs.Whole(required=False, default=10, min_value=0, max_value=20)


class SendDigits(inputs.Form):
    """Press keys for the far end: `w` and `,` wait half a second, `W` a second."""

    digits = inputs.Matching(r"[0-9*#A-DwW, ]{1,64}", says="must be 1 to 64 of 0-9 * # A-D w W and comma")
    pause_before_ms = inputs.Whole(required=False, default=0, min_value=0, max_value=60_000)


class Hold(inputs.Form):
    """Play music, whenever nothing else plays, until `resume`."""


class Resume(inputs.Form):
    """End the music of `hold`."""


class Mute(inputs.Form):
    """Carry nothing of one or both directions: `write` is what we send to the channel's party, `read` what it sends."""

    direction = inputs.Choice(("read", "write", "both"), required=False, default="both")


class Unmute(Mute):
    """Carry the direction again."""


class SetVariables(inputs.Form):
    """Set variables that every later webhook and request carries."""

    variables = inputs.Variables()


class RemoveVariables(inputs.Form):
    """Remove variables; those that are not set are no error."""

    names = inputs.Names()


class StartRecording(inputs.Form):
    """Record the call from here on, each party on a channel of its own."""


class StopRecording(inputs.Form):
    """End the recording of the call."""


class Record(inputs.Form):
    """Record a voicemail: what the far end says, until it presses a key, the time is over, or it hangs up."""

    max_seconds = inputs.Whole(required=False, default=120, min_value=1, max_value=3600)
    finish_on_key = inputs.Choice("0123456789*#", required=False, default="#")
    beep = inputs.Flag(required=False, default=True)


class StartStream(inputs.Form):
    """Not available yet: noted on the timeline and passed over."""

    stream_url = inputs.Matching(r"wss://[^\s/?#]+\S*", says="must be a wss:// URL", max_length=2048)
    track = inputs.Choice(("inbound", "outbound", "both"), required=False, default="both")


class StopStream(inputs.Form):
    """Not available yet: noted on the timeline and passed over."""


class Destination(inputs.Matching):
    """A number, or a SIP URI: whether a trunk of the customer's own leads there, its admission tells."""

    def __init__(self, **options: Any) -> None:
        says = "must be an E.164 number such as +15551230001, or sip:user@host"
        super().__init__(
            r"\+[1-9][0-9]{6,14}|sip:[A-Za-z0-9._+-]{1,64}@[^@]+", says=says, max_length=sip.LONGEST_TARGET, **options
        )

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not (inputs.is_e164(text) or sip.is_target(text)):
            raise serializers.ValidationError(self.says)
        return text


class Transfer(inputs.Form):
    """Dial a number or a SIP URI, and join it with the call, which ends with it."""

    destination = Destination(required=False)
    to = Destination(required=False)
    timeout_seconds = inputs.Whole(required=False, default=30, min_value=5, max_value=120)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Put `from`, a word of Python's own, before the others."""
        return {"from": inputs.E164(required=False, default=""), **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`destination` wins over `to`."""
        to = attrs.pop("to", "")
        to = attrs.pop("destination", to)
        if not to:
            raise serializers.ValidationError({"destination": "is required"})
        return {**attrs, "to": to}


class Bridge(Transfer):
    """Dial and join as `transfer` does; with nobody there the actions of `fallback` take the place of the rest."""

    fallback = inputs.Items(required=False, default=list)  # `calls.flow.document` reads them


class Conference(inputs.Form):
    """Let the call into a room of yours, where all who are in it hear each other."""

    room = inputs.Matching(r"[A-Za-z0-9._-]{1,64}", says="must be 1 to 64 of A-Z a-z 0-9 . _ -")
    mute = inputs.Flag(required=False, default=False)
    end_on_exit = inputs.Flag(required=False, default=False)


class Hangup(inputs.Form):
    """End the call."""

    reason = inputs.Text(required=False, max_length=64)


class Reject(inputs.Form):
    """Refuse a call that came in and is not answered yet."""

    reason = inputs.Choice(("busy", "declined"), required=False, default="declined")


FORMS: Mapping[str, inputs.Form] = {
    "say": Say(),
    "play": Play(),
    "pause": Pause(),
    "gather": Gather(),
    "send_digits": SendDigits(),
    "redirect": Redirect(),
    "hold": Hold(),
    "resume": Resume(),
    "mute": Mute(),
    "unmute": Unmute(),
    "set_variables": SetVariables(),
    "remove_variables": RemoveVariables(),
    "start_recording": StartRecording(),
    "stop_recording": StopRecording(),
    "record": Record(),
    "start_stream": StartStream(),
    "stop_stream": StopStream(),
    "transfer": Transfer(),
    "bridge": Bridge(),
    "conference": Conference(),
    "hangup": Hangup(),
    "reject": Reject(),
}
