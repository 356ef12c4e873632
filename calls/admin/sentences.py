"""How a call stands or ended, in sentences that a person can say on the phone."""

from calls.models import Call, Party, Reason, Status


def sentence(call: Call) -> str:
    """Return how `call` stands or ended, as a person can say it on the phone."""
    if not call.end_reason:
        return f"{_LIVE[call.status]}."
    if call.end_reason == Reason.HANGUP:
        return f"{_HUNG_UP.get(call.hangup_by, 'The call was hung up')}."
    code = f" ({call.sip_code})" if call.sip_code else ""
    return f"{_ENDED[call.end_reason]}{code}."


_ENDED: dict[str, str] = {
    Reason.CALLER_HUNG_UP: "The caller hung up before the call was answered",
    Reason.MEDIA_LOST: "The sound was lost, so the call was ended",
    Reason.BUSY: "The callee's network said the number is busy",
    Reason.NO_ANSWER: "It rang, and nobody answered",
    Reason.REJECTED: "The callee, or the network, rejected the call",
    Reason.UNREACHABLE: "The callee could not be reached: it never rang",
    Reason.INVALID_NUMBER: "The network said the number does not exist or is incomplete",
    Reason.ORIGINATE_FAILED: "No trunk took the call, so nothing rang",
    Reason.TRUNK_FAILED: "The carrier's trunk failed",
    Reason.CANCELED: "The call was canceled before it was answered",
    Reason.MAX_DURATION: "The call reached its longest duration",
    Reason.OUT_OF_FUNDS: "The customer's money for this call was used up",
    Reason.ANSWER_URL_FAILED: "The customer's answer URL did not give usable instructions",
    Reason.EXPIRED: "The call waited too long and was given up",
    Reason.ENGINE_LOST: "The telephone engine lost the call",
}
_HUNG_UP: dict[str, str] = {
    Party.CALLER: "The caller hung up",
    Party.CALLEE: "The callee hung up",
    Party.API: "The customer's application hung up",
    Party.SYSTEM: "The call was hung up by us",
}
_LIVE: dict[str, str] = {
    Status.QUEUED: "The call waits to be dialed",
    Status.DIALING: "The call is being dialed",
    Status.RINGING: "The callee's phone is ringing",
    Status.IN_PROGRESS: "The call is answered and up",
}
