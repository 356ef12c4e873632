"""What can go wrong. The classes of single codes are in `operations`, made of the API's own description."""

from typing import Any, ClassVar

import requests


class MiniVoiceError(Exception):
    """The base of everything this package raises."""


class ConnectionFailed(MiniVoiceError):
    """No answer came, though it was tried again where that could do no harm."""


class ApiError(MiniVoiceError):
    """The API refused. `request_id` names the request to support; `param` a field, `call_id` a call, where given."""

    code: ClassVar[str] = ""

    def __init__(self, *, status: int, error: dict[str, Any], retry_after_seconds: int | None) -> None:
        self.status = status
        self.error_code = str(error["code"])
        self.message = str(error["message"])
        self.request_id: str | None = error.get("request_id")
        self.param: str | None = error.get("param")
        self.call_id: str | None = error.get("call_id")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{self.error_code}: {self.message}")


def read(answer: requests.Response) -> ApiError:
    """Return the error that an answer is: of the class of its code, or an ApiError for one that is not known here."""
    try:
        error = dict(answer.json()["error"])
    except (ValueError, KeyError, TypeError):  # from a proxy on the way, not from MiniVoice
        error = {"code": f"http_{answer.status_code}", "message": answer.reason or "no reason given"}
    kinds = {kind.code: kind for kind in ApiError.__subclasses__()}
    after = answer.headers.get("Retry-After", "")
    return kinds.get(error["code"], ApiError)(
        status=answer.status_code, error=error, retry_after_seconds=int(after) if after.isdecimal() else None
    )
