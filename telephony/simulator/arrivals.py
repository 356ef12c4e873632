"""A call that comes in, as measured on Asterisk 22: it waits in our app for an answer or a refusal.

Its dialplan tries the app every half second for 15 s; when nobody listens by then, the caller is refused with 503.
"""

from typing import Any

from telephony.simulator.callees import Callee
from telephony.simulator.channels import Channel, Order
from telephony.simulator.legs import ASKED_FOR

CONTEXT = "minivoice-in"

_GIVEN_UP, _GIVEN_UP_SIP = 127, 487  # by the caller, before there was an answer
_CONGESTED = 34
_MOST_RING_SECONDS = 150.0
_SIP = {1: 404, 17: 486, 19: 480, 21: 403, 34: 503}  # what a Q.850 cause is to a caller
_DECLINED_SIP = 603  # what any other is: of it Asterisk says no code


class Arrival(Channel):
    """The channel of a caller, who does what `caller` says once it is answered."""

    cause_unheard = _CONGESTED

    def __init__(self, order: Order, *, caller: Callee, **parts: Any) -> None:
        super().__init__(order, callee=caller, **parts)
        self.number, self.caller_id, self.exten = order.caller_id, "", order.number

    def arrive(self) -> None:
        """Begin: the call waits for somebody to command it."""
        self.state = "Ring"
        self._record.dialled_at.append(self.created_at)
        self._tell("ChannelCreated")
        self._set_timer(_MOST_RING_SECONDS)
        self.enter()

    def ring(self) -> None:
        """Tell the caller that it rings, or let it hear so once it is up. Raises NotInApp."""
        super().ring()
        if self.state != "Up":
            self._record.times_rung += 1

    def answer(self) -> None:
        """Answer, once. Raises NotInApp."""
        self.must_be_in_app()
        if self.state == "Up":
            return
        self.state = "Up"
        self._record.answered_at = self._timing.now()
        self._tell("ChannelStateChange")
        self._wait_for_callee()

    def hang_up(self, *, cause: int = 16) -> None:
        """End at our request, answered or not."""
        self._tell("ChannelHangupRequest", soft=True, cause=ASKED_FOR)
        self._end(cause=cause)

    def far_end_hangs_up(self) -> None:
        """Let the caller put the phone down, or give up."""
        self._tell("ChannelHangupRequest")
        if self.state == "Up":
            self._end(cause=0)
        else:
            self._end(cause=_GIVEN_UP, sip_code=_GIVEN_UP_SIP)

    def _end(self, *, cause: int, sip_code: int | None = None) -> None:
        if self.state != "Up" and sip_code is None:
            sip_code = _SIP.get(cause)
            self._record.told = sip_code or _DECLINED_SIP
        super()._end(cause=cause, sip_code=sip_code)
