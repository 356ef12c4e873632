"""A carrier that does with each call what a test says, and counts: who was invited, whose phone rang."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from tests.telephony.engines.phone import Sound
from tests.telephony.engines.sip import FarEnd, Reply, Request

Script = Sequence[int]  # SIP codes, in their order; none: silence

_REASONS: Mapping[int, str] = {180: "Ringing", 183: "Session Progress", 200: "OK"}
_BETWEEN_SECONDS = 0.2


class ScriptedCarrier(FarEnd):
    """At `host`, from `with` on. `script` says what is done with a call to a number; `open` lets it begin.

    Until it is open a call is told 100 at once, and nothing else.
    """

    def __init__(self, *, host: str, script: Callable[[str], Script], is_open: bool = True, port: int = 0) -> None:
        super().__init__(host=host, port=port)
        self.invited: Counter[str] = Counter()  # dialogues by number, however often each INVITE came
        self.rung: Counter[str] = Counter()  # those of them that rang, or were answered
        self.most_at_once = 0
        self._script = script
        self._known: dict[str, Request] = {}  # INVITEs by their dialogue
        self._up: set[str] = set()
        self._open = threading.Event()
        self._sound = Sound(host=host)
        if is_open:
            self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._sound.close()

    def open(self) -> None:
        """Let all calls go on."""
        self._open.set()

    def take(self, request: Request, reply: Reply) -> None:
        """Begin a call as its script says, or end it."""
        if request.method == "INVITE":
            self._invite(request, reply)
        elif request.method in {"BYE", "CANCEL"}:
            self._up.discard(request.call_id)
            reply(request.answer("200 OK"))
            if request.method == "CANCEL":
                reply(self._known[request.call_id].answer("487 Request Terminated"))
        elif request.method != "ACK":
            reply(request.answer("200 OK"))

    def _invite(self, request: Request, reply: Reply) -> None:
        is_new = request.call_id not in self._known
        self._known[request.call_id] = request
        if not is_new:
            return
        self.invited[request.number] += 1
        self._up.add(request.call_id)
        self.most_at_once = max(self.most_at_once, len(self._up))
        script = self._script(request.number)
        if script:
            reply(request.answer("100 Trying"))
            threading.Thread(target=self._play, args=(request, script, reply), daemon=True).start()

    def _play(self, request: Request, script: Script, reply: Reply) -> None:
        self._open.wait()
        rings = [code for code in script if code < 300]
        for code in script:
            if code in rings[:1]:
                self.rung[request.number] += 1
            if code >= 300:
                self._up.discard(request.call_id)
            body = self._sound.sdp if code in {183, 200} else ""
            contact = f"Contact: <sip:carrier@{self.host}:{self.port}>"
            reply(request.answer(f"{code} {_REASONS.get(code, 'Refused')}", contact, body=body))
            time.sleep(_BETWEEN_SECONDS)
