"""The catalogue of everything the API can answer that is not success. One class a code; code and status never change.

Messages are sentences for the integrator; `param` names the offending field of a request where there is one.
"""

from typing import ClassVar

from rest_framework.exceptions import APIException


class ApiError(APIException):
    """A refusal in the documented envelope.

    `message` replaces the class's own sentence, `param` names a request field, `retry_after_seconds` becomes the
    `Retry-After` header, and `extra` joins the error object.
    """

    code: ClassVar[str] = "internal_error"
    status_code = 500
    message = "something went wrong on our side"

    def __init__(
        self,
        message: str = "",
        *,
        param: str = "",
        retry_after_seconds: int | None = None,
        extra: dict[str, str] | None = None,
    ) -> None:
        self.message = message or self.message
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra or {}
        super().__init__(self.message, self.code)


class InternalError(ApiError):
    pass


class InvalidJson(ApiError):
    code, status_code, message = "invalid_json", 400, "the body must be a JSON object"


class InvalidRequest(ApiError):
    code, status_code, message = "invalid_request", 400, "the request is not valid"


class InvalidAction(ApiError):
    code, status_code, message = "invalid_action", 400, "action must be start or stop"


class RateNotFound(ApiError):
    code, status_code, message = "rate_not_found", 400, "no active rate matches the destination"


class NoActiveTrunk(ApiError):
    code, status_code, message = "no_active_trunk", 400, "no active outbound trunk serves the destination"


class Unauthorized(ApiError):
    code, status_code, message = "unauthorized", 401, "a valid API key is required"


class InsufficientBalance(ApiError):
    code, status_code, message = "insufficient_balance", 402, "balance is too low to create call"


class SpendControlExceeded(ApiError):
    code, status_code, message = "spend_control_exceeded", 403, "a spend control refuses this call"


class DestinationBlocked(ApiError):
    code, status_code, message = "destination_blocked", 403, "calls to this destination are blocked"


class CallerIdNotAllowed(ApiError):
    code, status_code, message = (
        "caller_id_not_allowed",
        403,
        "from must be one of your numbers or verified caller ids",
    )


class AccountSuspended(ApiError):
    code, status_code, message = "account_suspended", 403, "this account is suspended"


class ScopeRequired(ApiError):
    code, status_code, message = "scope_required", 403, "this API key lacks the scope for this request"


class NotFound(ApiError):
    code, status_code, message = "not_found", 404, "not found"


class CallNotFound(ApiError):
    code, status_code, message = "call_not_found", 404, "call not found"


class ActiveCallNotFound(ApiError):
    code, status_code, message = "active_call_not_found", 404, "the call is not up"


class RecordingNotStarted(ApiError):
    code, status_code, message = "recording_not_started", 404, "the call is not being recorded"


class RecordingNotFound(NotFound):
    message = "recording not found"


class DidNotFound(NotFound):
    message = "DID not found"


class TrunkNotFound(NotFound):
    message = "trunk not found"


class MethodNotAllowed(ApiError):
    code, status_code, message = "method_not_allowed", 405, "this method is not allowed here"


class PayloadTooLarge(ApiError):
    code, status_code, message = "payload_too_large", 413, "the body may have at most 64 KiB"


class UnsupportedMediaType(ApiError):
    code, status_code, message = "unsupported_media_type", 415, "send application/json in UTF-8"


class GatewayNameExists(ApiError):
    code, status_code, message = "gateway_name_exists", 409, "another of your trunks has this gateway_name"


class InboundIpExists(ApiError):
    code, status_code, message = "inbound_ip_exists", 409, "another of your trunks has this inbound_ip"


class TrunkLimitReached(ApiError):
    code, status_code, message = "trunk_limit_reached", 409, "the account has as many trunks as it may have"


class CallUuidMissing(ApiError):
    code, status_code, message = "call_uuid_missing", 409, "the telephone engine has not taken the call yet"


class CallAlreadyEnded(ApiError):
    code, status_code, message = "call_already_ended", 409, "the call has ended"


class IdempotencyInProgress(ApiError):
    code, status_code, message = (
        "idempotency_in_progress",
        409,
        "a request with this Idempotency-Key is being carried out, try again shortly",
    )


class RangeNotSatisfiable(ApiError):
    """`size_bytes` is the size of the file, which the client is told in `Content-Range`."""

    code, status_code, message = "range_not_satisfiable", 416, "the range begins after the end of the file"

    def __init__(self, *, size_bytes: int = 0) -> None:
        super().__init__()
        self.size_bytes = size_bytes


class IdempotencyKeyReused(ApiError):
    code, status_code, message = (
        "idempotency_key_reused",
        422,
        "this Idempotency-Key came with another body before",
    )


class CpsLimitReached(ApiError):
    code, status_code, message = "cps_limit_reached", 429, "too many calls per second"


class ConcurrentCallLimitReached(ApiError):
    code, status_code, message = "concurrent_call_limit_reached", 429, "too many calls at once"


class OriginateFailed(ApiError):
    code, status_code, message = "originate_failed", 502, "the telephone engine would not take the call"


class RecordingStartFailed(ApiError):
    code, status_code, message = "recording_start_failed", 502, "the telephone engine would not record the call"


class RecordingStopFailed(ApiError):
    code, status_code, message = (
        "recording_stop_failed",
        502,
        "the telephone engine would not stop the recording, try again",
    )


class Unavailable(ApiError):
    code, status_code, message = "unavailable", 503, "temporarily unavailable, try again shortly"


CATALOGUE: dict[str, type[ApiError]] = {error.code: error for error in ApiError.__subclasses__()}
