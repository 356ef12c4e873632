"""Numbers and trunks over HTTP."""

from typing import Annotated, Any, TypedDict

from django.conf import settings
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from applications.models import ApiKey
from minivoice import addresses, api, clock, errors, inputs, schema
from telephony import numbers, sip, trunks, voices
from telephony.models import Number, Trunk


class NumberForm(inputs.Form):
    """The body of `PATCH /v1/dids/:id`."""

    application_id = inputs.Text(required=False, default="", allow_blank=True, max_length=64)
    route_mode = inputs.Choice(Number.RouteMode.values, required=False)
    routing_target = inputs.Text(required=False, default="", allow_blank=True, max_length=255)


class InboundIp(inputs.Text):
    """A public IP address, kept in its usual spelling."""

    default_error_messages = {"blank": "must be a public IP address"}

    def to_internal_value(self, data: Any) -> str:
        try:
            address = addresses.plain(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError("must be a public IP address") from error
        if not addresses.is_public(address):
            raise serializers.ValidationError("must be a public IP address")
        return address


def _sip_text(name: str, says: str, *, max_length: int = 255) -> inputs.Matching:
    pattern = sip.PATTERNS[name]
    return inputs.Matching(pattern, says=says, required=False, default="", allow_blank=True, max_length=max_length)


class TrunkForm(inputs.Form):
    """The body of `POST /v1/trunks` and, each field by itself, of `PATCH /v1/trunks/:id`."""

    name = inputs.Text(max_length=100)
    proxy = inputs.Text(max_length=255)
    username = _sip_text("username", "may have letters, digits and . _ + @ = -", max_length=100)
    password = _sip_text("password", "must be printable ASCII without blanks, commas and braces", max_length=128)
    realm = _sip_text("realm", "may have words of letters, digits and . _ @ -")
    from_domain = _sip_text("from_domain", "must be a host name")
    inbound_ip = InboundIp(required=False, default=None, max_length=45)
    transport = inputs.Choice(Trunk.Transport.values, required=False, default=Trunk.Transport.UDP.value)
    srtp = inputs.Flag(required=False, default=False)
    codecs = inputs.Choices(Trunk.Codec.values, required=False, default=list)
    registers = inputs.Flag(required=False, default=False)
    priority = inputs.Whole(required=False, default=10, min_value=0, max_value=1000)
    allowed_prefixes = inputs.Matchings(
        r"[1-9][0-9]{0,14}", says="must be 1 to 15 digits without the +", most=1000, required=False, default=list
    )
    max_channels = inputs.Whole(required=False, default=None, min_value=1, max_value=30_000)
    max_cps = inputs.Whole(required=False, default=None, min_value=1, max_value=1000)
    is_active = inputs.Flag(required=False, default=True)
    gateway_name = inputs.Matching(
        sip.PATTERNS["gateway_name"], says="may have letters, digits, _ and -", required=False, max_length=64
    )


NUMBER_CHANGES = NumberForm(partial=True)
TRUNK_FORM = TrunkForm()
TRUNK_CHANGES = TrunkForm(partial=True)


class VoiceForm(inputs.Form):
    """The query of `GET /v1/voices`."""

    language = inputs.Text(required=False, default="", max_length=35)


VOICE_FORM = VoiceForm()


class VoiceObject(TypedDict):
    """A voice that texts are spoken in."""

    id: Annotated[str, "what documents name it by"]
    name: str
    languages: Annotated[list[str], "BCP 47, in small letters, its own first"]
    is_default: Annotated[bool, "whether it speaks what names neither a voice nor a language"]


class Voices(api.View):
    """`GET /v1/voices`: who can speak."""

    @schema.operation(
        "list_voices",
        "List the voices",
        description="What `voice` and `language` of `say` and `gather` may name. With `language`, the voices of that "
        "language, whatever its country.",
        answers={200: schema.Page(VoiceObject, is_whole=True)},
        query=VoiceForm,
    )
    def get(self, request: Request) -> Response:
        form = api.clean(VOICE_FORM, request.query_params.dict())
        data = [_voice(voice) for voice in voices.speaking(form["language"])]
        return Response({"data": data, "count": len(data), "next_cursor": None})


class Numbers(api.View):
    """`GET /v1/dids` lists the customer's numbers."""

    @schema.operation("list_dids", "List your numbers", answers={200: schema.page_of(numbers.NumberObject)})
    def get(self, request: Request) -> Response:
        return api.page(request, numbers.of(caller(request).customer), numbers.render)


class OneNumber(api.View):
    """`GET /v1/dids/:id`; `PATCH` routes it anew."""

    not_found = errors.DidNotFound

    @schema.operation("get_did", "Get a number", answers={200: numbers.NumberObject})
    def get(self, request: Request, did_id: str) -> Response:
        return Response(numbers.render(_number(request, public_id=did_id)))

    @schema.operation(
        "update_did",
        "Change where a number leads",
        description="With `webhook` the application answers; `reject` declines; `sip` forwards to `routing_target`, "
        "an E.164 number or `sip:user@host` of one of your own trunks.",
        body=NumberForm,
        answers={200: numbers.NumberObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def patch(self, request: Request, did_id: str) -> Response:
        number = _number(request, public_id=did_id)
        changes = api.clean(NUMBER_CHANGES, request.data)
        return Response(numbers.render(numbers.change(number=number, changes=changes)))


class NumberByE164(api.View):
    """`GET /v1/dids/by-number/:e164`; the `+` may be encoded or not."""

    not_found = errors.DidNotFound

    @schema.operation("get_did_by_number", "Find a number by its digits", answers={200: numbers.NumberObject})
    def get(self, request: Request, number_e164: str) -> Response:
        return Response(numbers.render(_number(request, number_e164=number_e164)))


class Trunks(api.View):
    """`POST /v1/trunks` makes one; `GET` lists the customer's."""

    @schema.operation(
        "create_trunk",
        "Add a trunk of your own",
        description="`proxy` and `inbound_ip` must be public. Calls from `inbound_ip` are taken once staff approve it. "
        "The trunk is on the engine within seconds: `state` becomes `up`, or `down` or `refused` with its reason. "
        "With `allowed_prefixes` it takes only numbers that begin with one of them.",
        body=TrunkForm,
        answers={201: trunks.TrunkObject},
        errors=[errors.GatewayNameExists, errors.InboundIpExists, errors.TrunkLimitReached],
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request) -> Response:
        form = api.clean(TRUNK_FORM, request.data)
        trunk = trunks.create(customer=caller(request).customer, values=form)
        return Response(trunks.render(trunk), status=201)

    @schema.operation("list_trunks", "List your trunks", answers={200: schema.page_of(trunks.TrunkObject)})
    def get(self, request: Request) -> Response:
        return api.page(request, trunks.of(caller(request).customer), trunks.render)


class OneTrunk(api.View):
    """`GET`, `PATCH` and `DELETE /v1/trunks/:id`."""

    not_found = errors.TrunkNotFound

    @schema.operation("get_trunk", "Get a trunk", answers={200: trunks.TrunkObject})
    def get(self, request: Request, trunk_id: str) -> Response:
        return Response(trunks.render(_trunk(request, trunk_id)))

    @schema.operation(
        "update_trunk",
        "Change a trunk",
        description="Only the fields given change; null clears an optional one, `[]` a list. "
        "A new `inbound_ip` waits for staff.",
        body=TrunkForm,
        answers={200: trunks.TrunkObject},
        errors=[errors.GatewayNameExists, errors.InboundIpExists],
        scope=ApiKey.Scope.MANAGE,
    )
    def patch(self, request: Request, trunk_id: str) -> Response:
        trunk = _trunk(request, trunk_id)
        changes = api.clean(TRUNK_CHANGES, request.data)
        return Response(trunks.render(trunks.change(trunk=trunk, changes=changes)))

    @schema.operation(
        "delete_trunk",
        "Take a trunk out of use",
        description="Calls that are up go on; no new one takes it.",
        answers={204: None},
        scope=ApiKey.Scope.MANAGE,
    )
    def delete(self, request: Request, trunk_id: str) -> Response:
        trunks.delete(trunk=_trunk(request, trunk_id), now=clock.now())
        return Response(status=204)


def _number(request: Request, **named: str) -> Number:
    return api.find(numbers.of(caller(request).customer), **named)


def _trunk(request: Request, trunk_id: str) -> Trunk:
    return api.find(trunks.of(caller(request).customer), public_id=trunk_id)


def _voice(voice: voices.Voice) -> VoiceObject:
    return {
        "id": voice.id,
        "name": voice.name,
        "languages": list(voice.languages),
        "is_default": voice.id == settings.SPEECH_VOICE,
    }
