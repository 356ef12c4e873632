"""Every operation of the API, its objects and its errors. Made by `make clients`: not to be edited."""

from collections.abc import Iterator
from typing import Any, Literal, NotRequired, TypedDict, cast

from minivoice_client.errors import ApiError
from minivoice_client.transport import NOT_GIVEN, Transport, new_key, path


class AccountSuspended(ApiError):
    code = "account_suspended"


class ActiveCallNotFound(ApiError):
    code = "active_call_not_found"


class CallAlreadyEnded(ApiError):
    code = "call_already_ended"


class CallNotFound(ApiError):
    code = "call_not_found"


class CallUuidMissing(ApiError):
    code = "call_uuid_missing"


class CallerIdNotAllowed(ApiError):
    code = "caller_id_not_allowed"


class ConcurrentCallLimitReached(ApiError):
    code = "concurrent_call_limit_reached"


class CpsLimitReached(ApiError):
    code = "cps_limit_reached"


class DestinationBlocked(ApiError):
    code = "destination_blocked"


class GatewayNameExists(ApiError):
    code = "gateway_name_exists"


class IdempotencyInProgress(ApiError):
    code = "idempotency_in_progress"


class IdempotencyKeyReused(ApiError):
    code = "idempotency_key_reused"


class InboundIpExists(ApiError):
    code = "inbound_ip_exists"


class InsufficientBalance(ApiError):
    code = "insufficient_balance"


class InternalError(ApiError):
    code = "internal_error"


class InvalidAction(ApiError):
    code = "invalid_action"


class InvalidJson(ApiError):
    code = "invalid_json"


class InvalidRequest(ApiError):
    code = "invalid_request"


class MethodNotAllowed(ApiError):
    code = "method_not_allowed"


class NoActiveTrunk(ApiError):
    code = "no_active_trunk"


class NotFound(ApiError):
    code = "not_found"


class OriginateFailed(ApiError):
    code = "originate_failed"


class PayloadTooLarge(ApiError):
    code = "payload_too_large"


class RangeNotSatisfiable(ApiError):
    code = "range_not_satisfiable"


class RateNotFound(ApiError):
    code = "rate_not_found"


class RecordingNotStarted(ApiError):
    code = "recording_not_started"


class RecordingStartFailed(ApiError):
    code = "recording_start_failed"


class RecordingStopFailed(ApiError):
    code = "recording_stop_failed"


class ScopeRequired(ApiError):
    code = "scope_required"


class SpendControlExceeded(ApiError):
    code = "spend_control_exceeded"


class TrunkLimitReached(ApiError):
    code = "trunk_limit_reached"


class Unauthorized(ApiError):
    code = "unauthorized"


class Unavailable(ApiError):
    code = "unavailable"


class UnsupportedMediaType(ApiError):
    code = "unsupported_media_type"


class Application(TypedDict):
    id: str
    customer_id: str
    name: str
    answer_url: str | None
    answer_method: str
    fallback_url: str | None
    webhook_url: str | None
    webhook_events: list[str]
    webhook_failing_since: str | None
    webhook_disabled_at: str | None
    is_active: bool
    created_at: str


class Attempt(TypedDict):
    number: int
    started_at: str
    duration_ms: int
    http_status: int | None
    error: str | None
    response: str


class Balance(TypedDict):
    posted: str
    held: str
    available: str
    credit_limit: str
    currency: str


Call = TypedDict(
    "Call",
    {
        "from": str,
        "to": str,
        "duration_seconds": int | None,
        "billable_seconds": int | None,
        "cost_amount": str | None,
        "cost_currency": str | None,
        "end_reason": Literal[
            "hangup",
            "caller_hung_up",
            "media_lost",
            "busy",
            "no_answer",
            "rejected",
            "unreachable",
            "invalid_number",
            "originate_failed",
            "trunk_failed",
            "canceled",
            "max_duration",
            "out_of_funds",
            "answer_url_failed",
            "expired",
            "engine_lost",
        ]
        | None,
        "hangup_by": Literal["caller", "callee", "api", "system"] | None,
        "sip_code": int | None,
        "id": str,
        "status": Literal["queued", "dialing", "ringing", "in_progress", "completed", "failed", "canceled"],
        "direction": Literal["outbound", "inbound"],
        "application_id": str,
        "customer_id": str,
        "provider_call_id": str | None,
        "answer_url": str | None,
        "metadata": dict[str, Any],
        "created_at": str,
        "route_mode": Literal["webhook", "sip"],
        "routing_target": str,
        "dialing_at": str | None,
        "ringing_at": str | None,
        "answered_at": str | None,
        "ended_at": str | None,
        "trunk_id": str | None,
    },
)


class Check(TypedDict):
    check: str
    passed: bool
    code: str | None
    message: str | None


class Recording(TypedDict):
    id: str
    call_id: str
    customer_id: str
    application_id: str
    provider_call_id: str | None
    status: Literal["started", "completed", "failed", "deleted"]
    storage_type: Literal["local", "s3"]
    file_url: str | None
    duration_seconds: int | None
    size_bytes: int | None
    created_at: str
    updated_at: str


class Commanded(TypedDict):
    call_id: str
    provider_call_id: str | None
    action: Literal["start", "stop"]
    recording: Recording


class CommandedAnswer(TypedDict):
    data: Commanded


class DayUsage(TypedDict):
    calls: int
    billsec_seconds: int
    cost_amount: str
    cost_currency: str
    day: str


class Delivery(TypedDict):
    id: str
    event_id: str
    event: str
    call_id: str | None
    sequence: int | None
    url: str | None
    status: Literal["pending", "delivered", "exhausted", "unaddressed"]
    attempts_made: int
    error: str | None
    created_at: str
    next_attempt_at: str | None
    delivered_at: str | None
    replayed_at: str | None


class DestinationUsage(TypedDict):
    calls: int
    billsec_seconds: int
    cost_amount: str
    cost_currency: str
    destination: str


class Entry(TypedDict):
    id: str
    kind: str
    amount: str
    posted_after: str
    currency: str
    call_id: str | None
    reference: str | None
    created_at: str


class Event(TypedDict):
    id: str
    event: str
    created_at: str
    sequence: NotRequired[int]
    call: dict[str, Any] | None
    variables: dict[str, Any]
    data: dict[str, Any]


class Rate(TypedDict):
    prefix: str
    description: str
    price_per_minute: str
    connection_fee: str
    minimum_charge: str
    initial_increment: int
    subsequent_increment: int
    blocked: bool


class Route(TypedDict):
    trunk_id: str
    name: str | None


class Explanation(TypedDict):
    accepted: bool
    code: str | None
    checks: list[Check]
    rate: Rate | None
    currency: str
    available: str
    hold: str | None
    funded_seconds: int | None
    affordable_seconds: int | None
    trunks: list[Route]


class Feed(TypedDict):
    data: list[Event]
    count: int
    next_cursor: str


class Key(TypedDict):
    id: str
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    created_at: str
    last_used_at: str | None
    revoked_at: str | None


class NewApplication(TypedDict):
    id: str
    customer_id: str
    name: str
    answer_url: str | None
    answer_method: str
    fallback_url: str | None
    webhook_url: str | None
    webhook_events: list[str]
    webhook_failing_since: str | None
    webhook_disabled_at: str | None
    is_active: bool
    created_at: str
    api_key: str


class NewKey(TypedDict):
    id: str
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    created_at: str
    last_used_at: str | None
    revoked_at: str | None
    api_key: str


class Number(TypedDict):
    id: str
    customer_id: str
    application_id: str | None
    number_e164: str
    provider: str | None
    status: str
    route_mode: str
    routing_target: str | None
    created_at: str
    updated_at: str


class OneDelivery(TypedDict):
    id: str
    event_id: str
    event: str
    call_id: str | None
    sequence: int | None
    url: str | None
    status: Literal["pending", "delivered", "exhausted", "unaddressed"]
    attempts_made: int
    error: str | None
    created_at: str
    next_attempt_at: str | None
    delivered_at: str | None
    replayed_at: str | None
    attempts: list[Attempt]


class RateLookup(TypedDict):
    prefix: str
    description: str
    price_per_minute: str
    connection_fee: str
    minimum_charge: str
    initial_increment: int
    subsequent_increment: int
    blocked: bool
    to: str
    version_id: int
    effective_from: str
    currency: str
    hold: str
    funded_seconds: int


class Replay(TypedDict):
    replayed: int
    next_cursor: str | None


class Secret(TypedDict):
    application_id: str
    webhook_secret: str | None
    previous_secret_expires_at: str | None


class Summary(TypedDict):
    calls: int
    billsec_seconds: int
    cost_amount: str
    cost_currency: str


class TestEvent(TypedDict):
    event_id: str
    delivery_id: str
    event: str
    url: str
    created_at: str


class TimelineEvent(TypedDict):
    at: str
    event: str
    data: dict[str, Any]


class Trunk(TypedDict):
    id: str
    customer_id: str
    name: str
    direction: str
    gateway_name: str
    proxy: str
    username: str | None
    realm: str | None
    from_domain: str | None
    inbound_ip: str | None
    inbound_ip_active: bool
    transport: str
    srtp: bool
    codecs: list[str]
    registers: bool
    priority: int
    allowed_prefixes: list[str]
    max_channels: int | None
    max_cps: int | None
    is_active: bool
    state: str
    state_reason: str | None
    created_at: str
    updated_at: str


class TrunkUsage(TypedDict):
    calls: int
    billsec_seconds: int
    cost_amount: str
    cost_currency: str
    trunk_id: str | None


Usage = TypedDict(
    "Usage",
    {
        "from": str,
        "to": str,
        "application_id": str,
        "summary": Summary,
        "data": NotRequired[list[DayUsage | DestinationUsage | TrunkUsage]],
    },
)


class Validity(TypedDict):
    valid: bool


class Voice(TypedDict):
    id: str
    name: str
    languages: list[str]
    is_default: bool


class Client(Transport):
    """The API, a method an operation. A list is an iterator over all its items, whose pages are asked for as needed."""

    def list_applications(self) -> Iterator[Application]:
        """List the applications."""
        return self._pages("/v1/applications")

    def create_application(
        self,
        *,
        name: str,
        answer_url: str | None = NOT_GIVEN,
        answer_method: Literal["GET", "POST"] | None = NOT_GIVEN,
        fallback_url: str | None = NOT_GIVEN,
        webhook_url: str | None = NOT_GIVEN,
        webhook_events: list[
            Literal[
                "ai.completed",
                "balance.low",
                "call.answered",
                "call.canceled",
                "call.completed",
                "call.created",
                "call.failed",
                "call.gathered",
                "call.ringing",
                "call.settled",
                "recording.completed",
                "recording.failed",
                "recording.started",
            ]
        ]
        | None = NOT_GIVEN,
        webhook_secret: str | None = NOT_GIVEN,
    ) -> NewApplication:
        """Create an application.

        It comes with a key of its own, which has the scopes of the key that asks and is shown this once.

        Needs a key with the scope `manage`.
        """
        return cast(
            "NewApplication",
            self._send(
                "POST",
                "/v1/applications",
                body={
                    "name": name,
                    "answer_url": answer_url,
                    "answer_method": answer_method,
                    "fallback_url": fallback_url,
                    "webhook_url": webhook_url,
                    "webhook_events": webhook_events,
                    "webhook_secret": webhook_secret,
                },
            ),
        )

    def get_application(self, application_id: str) -> Application:
        """Show an application."""
        return cast("Application", self._send("GET", path("/v1/applications/{}", application_id)))

    def update_application(
        self,
        application_id: str,
        *,
        name: str | None = NOT_GIVEN,
        answer_url: str | None = NOT_GIVEN,
        answer_method: Literal["GET", "POST"] | None = NOT_GIVEN,
        fallback_url: str | None = NOT_GIVEN,
        webhook_url: str | None = NOT_GIVEN,
        webhook_events: list[
            Literal[
                "ai.completed",
                "balance.low",
                "call.answered",
                "call.canceled",
                "call.completed",
                "call.created",
                "call.failed",
                "call.gathered",
                "call.ringing",
                "call.settled",
                "recording.completed",
                "recording.failed",
                "recording.started",
            ]
        ]
        | None = NOT_GIVEN,
    ) -> Application:
        """Change an application.

        Fields that are not given stay as they are; `null` or an empty string clears a URL. A `webhook_url`
        that was disabled is enabled by sending it again. The secret is replaced by `rotate_webhook_secret`.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Application",
            self._send(
                "PATCH",
                path("/v1/applications/{}", application_id),
                body={
                    "name": name,
                    "answer_url": answer_url,
                    "answer_method": answer_method,
                    "fallback_url": fallback_url,
                    "webhook_url": webhook_url,
                    "webhook_events": webhook_events,
                },
            ),
        )

    def delete_application(self, application_id: str) -> Application:
        """Deactivate an application.

        Its keys stop at once, the one that asks included; live calls go on, and history stays. It can still
        be shown, with `is_active` false. Deleting it again changes nothing.

        Needs a key with the scope `manage`.
        """
        return cast("Application", self._send("DELETE", path("/v1/applications/{}", application_id)))

    def list_keys(self, application_id: str) -> Iterator[Key]:
        """List the keys of an application."""
        return self._pages(path("/v1/applications/{}/keys", application_id))

    def create_key(
        self,
        application_id: str,
        *,
        name: str | None = NOT_GIVEN,
        scopes: list[Literal["calls", "manage"]] | None = NOT_GIVEN,
    ) -> NewKey:
        """Issue a further key of an application.

        Its `scopes` are at most those of the key that asks, and all of those when none are named; a key
        with none may read. `api_key` is shown this once.

        Needs a key with the scope `manage`.
        """
        return cast(
            "NewKey",
            self._send("POST", path("/v1/applications/{}/keys", application_id), body={"name": name, "scopes": scopes}),
        )

    def revoke_key(self, application_id: str, key_id: str, *, issued: Literal["true", "false"] = NOT_GIVEN) -> Key:
        """Revoke a key.

        It stops at once, and for good. Revoking it again changes nothing.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Key",
            self._send("DELETE", path("/v1/applications/{}/keys/{}", application_id, key_id), query={"issued": issued}),
        )

    def rotate_webhook_secret(self, application_id: str, *, secret: str | None = NOT_GIVEN) -> Secret:
        """Replace the webhook secret.

        Without `secret` one is made, and shown this once. For 24 hours the old one signs beside it: in
        `X-MiniVoice-Signature-Previous`, and second in `webhook-signature`.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Secret",
            self._send("POST", path("/v1/applications/{}/webhook-secret", application_id), body={"secret": secret}),
        )

    def send_test_event(self, application_id: str) -> TestEvent:
        """Send a sample event.

        An event `webhook.test`, with `call` null, goes to the application's `webhook_url`: signed, repeated
        and logged as all events are.

        Needs a key with the scope `manage`.
        """
        return cast("TestEvent", self._send("POST", path("/v1/applications/{}/test-event", application_id)))

    def get_balance(self) -> Balance:
        """Get your balance."""
        return cast("Balance", self._send("GET", "/v1/balance"))

    def validate_actions(self, *, actions: list[dict[str, Any]]) -> Validity:
        """Check a document without a call.

        A document that breaks a rule is an `invalid_request` whose `param` is the place. The JSON Schema is
        at `/v1/schemas/actions.json`.
        """
        return cast("Validity", self._send("POST", "/v1/actions/validate", body={"actions": actions}))

    def list_calls(
        self,
        *,
        from_: str = NOT_GIVEN,
        status: Literal["queued", "dialing", "ringing", "in_progress", "completed", "failed", "canceled"] = NOT_GIVEN,
        direction: Literal["outbound", "inbound"] = NOT_GIVEN,
        to: str = NOT_GIVEN,
        created_after: str = NOT_GIVEN,
        created_before: str = NOT_GIVEN,
        parent_call_id: str = NOT_GIVEN,
    ) -> Iterator[Call]:
        """List the application's calls, newest first."""
        return self._pages(
            "/v1/calls",
            query={
                "from": from_,
                "status": status,
                "direction": direction,
                "to": to,
                "created_after": created_after,
                "created_before": created_before,
                "parent_call_id": parent_call_id,
            },
        )

    def create_call(
        self,
        *,
        from_: str,
        to: str,
        metadata: dict[str, Any] | None = NOT_GIVEN,
        record: bool | None = NOT_GIVEN,
        timeout_seconds: int | None = NOT_GIVEN,
        max_duration_seconds: int | None = NOT_GIVEN,
        answer_url: str | None = NOT_GIVEN,
        idempotency_key: str | None = None,
    ) -> Call:
        """Place a call.

        Needs a key with the scope `calls`.
        """
        return cast(
            "Call",
            self._send(
                "POST",
                "/v1/calls",
                body={
                    "from": from_,
                    "to": to,
                    "metadata": metadata,
                    "record": record,
                    "timeout_seconds": timeout_seconds,
                    "max_duration_seconds": max_duration_seconds,
                    "answer_url": answer_url,
                },
                idempotency_key=idempotency_key or new_key(),
            ),
        )

    def explain_call(
        self,
        *,
        from_: str,
        to: str,
        metadata: dict[str, Any] | None = NOT_GIVEN,
        record: bool | None = NOT_GIVEN,
        timeout_seconds: int | None = NOT_GIVEN,
        max_duration_seconds: int | None = NOT_GIVEN,
        answer_url: str | None = NOT_GIVEN,
    ) -> Explanation:
        """Explain what would become of a call, without placing it."""
        return cast(
            "Explanation",
            self._send(
                "POST",
                "/v1/calls/explain",
                body={
                    "from": from_,
                    "to": to,
                    "metadata": metadata,
                    "record": record,
                    "timeout_seconds": timeout_seconds,
                    "max_duration_seconds": max_duration_seconds,
                    "answer_url": answer_url,
                },
            ),
        )

    def get_call(self, call_id: str) -> Call:
        """Get a call."""
        return cast("Call", self._send("GET", path("/v1/calls/{}", call_id)))

    def replace_call_actions(
        self,
        call_id: str,
        *,
        actions: list[dict[str, Any]] | None = NOT_GIVEN,
        url: str | None = NOT_GIVEN,
        method: Literal["GET", "POST"] | None = NOT_GIVEN,
    ) -> Call:
        """Have a live call follow other instructions.

        Give `actions`, or the `url` to ask for them. What the call does at the moment is stopped within a
        second; a call that is not answered yet begins with them instead of its answer URL's.

        Needs a key with the scope `calls`.
        """
        return cast(
            "Call",
            self._send(
                "POST", path("/v1/calls/{}/actions", call_id), body={"actions": actions, "url": url, "method": method}
            ),
        )

    def hang_up_call(self, call_id: str) -> Call:
        """Hang up a call, or cancel one not yet answered.

        A call that has ended stays as it is.

        Needs a key with the scope `calls`.
        """
        return cast("Call", self._send("POST", path("/v1/calls/{}/hangup", call_id)))

    def list_call_events(self, call_id: str) -> Iterator[TimelineEvent]:
        """List what happened to a call, oldest first."""
        return self._pages(path("/v1/calls/{}/events", call_id), is_whole=True)

    def list_call_recordings(self, call_id: str) -> Iterator[Recording]:
        """List a call's recordings, newest first."""
        return self._pages(path("/v1/calls/{}/recordings", call_id))

    def record_call(self, call_id: str, *, action: Literal["start", "stop"] | None = NOT_GIVEN) -> CommandedAnswer:
        """Record a call, or stop it.

        A call has one recording at a time: `start` answers with the one that runs, if there is one. After
        `stop` the audio is there in a moment, which `recording.completed` tells.

        Needs a key with the scope `calls`.
        """
        return cast(
            "CommandedAnswer", self._send("POST", path("/v1/calls/{}/recordings", call_id), body={"action": action})
        )

    def get_recording(self, recording_id: str) -> Recording:
        """Get a recording."""
        return cast("Recording", self._send("GET", path("/v1/recordings/{}", recording_id)))

    def delete_recording(self, recording_id: str) -> Recording:
        """Erase the audio of a recording.

        One that runs ends. The recording itself stays, as `deleted`.

        Needs a key with the scope `calls`.
        """
        return cast("Recording", self._send("DELETE", path("/v1/recordings/{}", recording_id)))

    def get_recording_audio(self, recording_id: str, *, expires: str = NOT_GIVEN, signature: str = NOT_GIVEN) -> bytes:
        """Get the audio of a recording.

        8 kHz, 16 bit WAV: left what the party on the call's own channel says, right what it hears; a
        voicemail has one channel. One `Range` of bytes is answered with 206. Needs a key, or `expires` and
        `signature` of the `file_url` that `GET /v1/recordings/{recording_id}` answers.
        """
        return cast(
            "bytes",
            self._send(
                "GET", path("/v1/recordings/{}/audio", recording_id), query={"expires": expires, "signature": signature}
            ),
        )

    def list_dids(self) -> Iterator[Number]:
        """List your numbers."""
        return self._pages("/v1/dids")

    def get_did(self, did_id: str) -> Number:
        """Get a number."""
        return cast("Number", self._send("GET", path("/v1/dids/{}", did_id)))

    def update_did(
        self,
        did_id: str,
        *,
        application_id: str | None = NOT_GIVEN,
        route_mode: Literal["webhook", "reject", "sip"] | None = NOT_GIVEN,
        routing_target: str | None = NOT_GIVEN,
    ) -> Number:
        """Change where a number leads.

        With `webhook` the application answers; `reject` declines; `sip` forwards to `routing_target`, an
        E.164 number or `sip:user@host` of one of your own trunks.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Number",
            self._send(
                "PATCH",
                path("/v1/dids/{}", did_id),
                body={"application_id": application_id, "route_mode": route_mode, "routing_target": routing_target},
            ),
        )

    def get_did_by_number(self, number_e164: str) -> Number:
        """Find a number by its digits."""
        return cast("Number", self._send("GET", path("/v1/dids/by-number/{}", number_e164)))

    def read_events(self, *, after: str = NOT_GIVEN) -> Feed:
        """Read every event, in an order that passes over none.

        Whether or not they could be delivered, from the oldest that is kept. Go on with `next_cursor` as
        `after`: a page that is not full has all there is yet, and its cursor goes on from there. An event
        is shown once everything that began before it is done, as a rule within a second; those of one call
        may meet you in another order than their `sequence`.
        """
        return cast("Feed", self._send("GET", "/v1/events", query={"after": after}))

    def list_ledger_entries(
        self,
        *,
        kind: Literal["top_up", "charge", "refund", "adjustment"] = NOT_GIVEN,
        created_after: str = NOT_GIVEN,
        created_before: str = NOT_GIVEN,
    ) -> Iterator[Entry]:
        """List the movements of your money.

        `created_after` is part of what is listed, `created_before` is not.
        """
        return self._pages(
            "/v1/ledger", query={"kind": kind, "created_after": created_after, "created_before": created_before}
        )

    def look_up_rate(self, *, to: str) -> RateLookup:
        """Look up what a call would cost.

        The longest prefix of the price list in force wins.
        """
        return cast("RateLookup", self._send("GET", "/v1/rates/lookup", query={"to": to}))

    def list_trunks(self) -> Iterator[Trunk]:
        """List your trunks."""
        return self._pages("/v1/trunks")

    def create_trunk(
        self,
        *,
        name: str,
        proxy: str,
        username: str | None = NOT_GIVEN,
        password: str | None = NOT_GIVEN,
        realm: str | None = NOT_GIVEN,
        from_domain: str | None = NOT_GIVEN,
        inbound_ip: str | None = NOT_GIVEN,
        transport: Literal["udp", "tcp", "tls"] | None = NOT_GIVEN,
        srtp: bool | None = NOT_GIVEN,
        codecs: list[Literal["ulaw", "alaw", "g722", "gsm"]] | None = NOT_GIVEN,
        registers: bool | None = NOT_GIVEN,
        priority: int | None = NOT_GIVEN,
        allowed_prefixes: list[str] | None = NOT_GIVEN,
        max_channels: int | None = NOT_GIVEN,
        max_cps: int | None = NOT_GIVEN,
        is_active: bool | None = NOT_GIVEN,
        gateway_name: str | None = NOT_GIVEN,
    ) -> Trunk:
        """Add a trunk of your own.

        `proxy` and `inbound_ip` must be public. Calls from `inbound_ip` are taken once staff approve it.
        The trunk is on the engine within seconds: `state` becomes `up`, or `down` or `refused` with its
        reason. With `allowed_prefixes` it takes only numbers that begin with one of them.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Trunk",
            self._send(
                "POST",
                "/v1/trunks",
                body={
                    "name": name,
                    "proxy": proxy,
                    "username": username,
                    "password": password,
                    "realm": realm,
                    "from_domain": from_domain,
                    "inbound_ip": inbound_ip,
                    "transport": transport,
                    "srtp": srtp,
                    "codecs": codecs,
                    "registers": registers,
                    "priority": priority,
                    "allowed_prefixes": allowed_prefixes,
                    "max_channels": max_channels,
                    "max_cps": max_cps,
                    "is_active": is_active,
                    "gateway_name": gateway_name,
                },
            ),
        )

    def get_trunk(self, trunk_id: str) -> Trunk:
        """Get a trunk."""
        return cast("Trunk", self._send("GET", path("/v1/trunks/{}", trunk_id)))

    def update_trunk(
        self,
        trunk_id: str,
        *,
        name: str | None = NOT_GIVEN,
        proxy: str | None = NOT_GIVEN,
        username: str | None = NOT_GIVEN,
        password: str | None = NOT_GIVEN,
        realm: str | None = NOT_GIVEN,
        from_domain: str | None = NOT_GIVEN,
        inbound_ip: str | None = NOT_GIVEN,
        transport: Literal["udp", "tcp", "tls"] | None = NOT_GIVEN,
        srtp: bool | None = NOT_GIVEN,
        codecs: list[Literal["ulaw", "alaw", "g722", "gsm"]] | None = NOT_GIVEN,
        registers: bool | None = NOT_GIVEN,
        priority: int | None = NOT_GIVEN,
        allowed_prefixes: list[str] | None = NOT_GIVEN,
        max_channels: int | None = NOT_GIVEN,
        max_cps: int | None = NOT_GIVEN,
        is_active: bool | None = NOT_GIVEN,
        gateway_name: str | None = NOT_GIVEN,
    ) -> Trunk:
        """Change a trunk.

        Only the fields given change; null clears an optional one, `[]` a list. A new `inbound_ip` waits for
        staff.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Trunk",
            self._send(
                "PATCH",
                path("/v1/trunks/{}", trunk_id),
                body={
                    "name": name,
                    "proxy": proxy,
                    "username": username,
                    "password": password,
                    "realm": realm,
                    "from_domain": from_domain,
                    "inbound_ip": inbound_ip,
                    "transport": transport,
                    "srtp": srtp,
                    "codecs": codecs,
                    "registers": registers,
                    "priority": priority,
                    "allowed_prefixes": allowed_prefixes,
                    "max_channels": max_channels,
                    "max_cps": max_cps,
                    "is_active": is_active,
                    "gateway_name": gateway_name,
                },
            ),
        )

    def delete_trunk(self, trunk_id: str) -> None:
        """Take a trunk out of use.

        Calls that are up go on; no new one takes it.

        Needs a key with the scope `manage`.
        """
        self._send("DELETE", path("/v1/trunks/{}", trunk_id))

    def get_usage(
        self,
        *,
        from_: str = NOT_GIVEN,
        to: str = NOT_GIVEN,
        group_by: Literal["day", "destination", "trunk"] = NOT_GIVEN,
    ) -> Usage:
        """Sum up a period's calls.

        Calls settled in `[from, to)`, whatever became of them; the UTC month of now unless told otherwise.
        `group_by` adds `data`.
        """
        return cast("Usage", self._send("GET", "/v1/usage", query={"from": from_, "to": to, "group_by": group_by}))

    def list_voices(self, *, language: str = NOT_GIVEN) -> Iterator[Voice]:
        """List the voices.

        What `voice` and `language` of `say` and `gather` may name. With `language`, the voices of that
        language, whatever its country.
        """
        return self._pages("/v1/voices", query={"language": language}, is_whole=True)

    def list_deliveries(
        self,
        *,
        event: Literal[
            "ai.completed",
            "balance.low",
            "call.answered",
            "call.canceled",
            "call.completed",
            "call.created",
            "call.failed",
            "call.gathered",
            "call.ringing",
            "call.settled",
            "recording.completed",
            "recording.failed",
            "recording.started",
            "webhook.test",
        ] = NOT_GIVEN,
        call_id: str = NOT_GIVEN,
        status: Literal["pending", "delivered", "exhausted", "unaddressed"] = NOT_GIVEN,
    ) -> Iterator[Delivery]:
        """List the deliveries of webhook events.

        `pending` ones are tried again at `next_attempt_at`, `exhausted` ones no more; `unaddressed` are
        events from when the application had no `webhook_url`.
        """
        return self._pages("/v1/webhooks/deliveries", query={"event": event, "call_id": call_id, "status": status})

    def get_delivery(self, delivery_id: str) -> OneDelivery:
        """Show a delivery and its attempts."""
        return cast("OneDelivery", self._send("GET", path("/v1/webhooks/deliveries/{}", delivery_id)))

    def replay_delivery(self, delivery_id: str) -> OneDelivery:
        """Send an event again.

        Whatever became of it, the same bytes are sent at once to the application's present `webhook_url`,
        with the same event id, and the schedule of retries starts over. A delivery that is being attempted,
        or was replayed within the last five seconds, stays as it is.

        Needs a key with the scope `manage`.
        """
        return cast("OneDelivery", self._send("POST", path("/v1/webhooks/deliveries/{}/replay", delivery_id)))

    def replay_deliveries(
        self,
        *,
        from_: str,
        to: str,
        status: Literal["delivered", "exhausted", "unaddressed"],
        cursor: str | None = NOT_GIVEN,
    ) -> Replay:
        """Send the events of a time again.

        Those made at `from` or later and before `to` whose delivery has the `status`, oldest first, each as
        `replay_delivery` sends it; what is pending is sent without being asked for. One request sees to
        10,000 of them at most: ask again with `cursor`, and the rest as before, until `next_cursor` is
        null.

        Needs a key with the scope `manage`.
        """
        return cast(
            "Replay",
            self._send(
                "POST", "/v1/webhooks/replay", body={"from": from_, "to": to, "status": status, "cursor": cursor}
            ),
        )
