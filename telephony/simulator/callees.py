"""Those who are dialled: the end of the number decides what they do (the documented magic numbers)."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Callee:
    """How somebody takes a call."""

    refuses_with: int | None = None  # SIP code
    refuses_after_seconds: float = 0.1
    rings: bool = True
    early_media: bool = False
    answers_after_seconds: float | None = 0.2  # None: never
    presses: str = ""  # after the first prompt
    hangs_up_after_seconds: float | None = None  # counted from the answer
    sends_sound: bool = True


def callee(number: str) -> Callee:
    """Return who answers at `number`."""
    end = number[-3:]
    if end in _BY_END:
        return _BY_END[end]
    if re.fullmatch("7[0-9]{2}", end):
        return Callee(presses=f"{end[1:]}#")
    if re.fullmatch("8[0-9]{2}", end):
        return Callee(answers_after_seconds=int(end[1:]))
    if re.fullmatch("9[0-9]{2}", end):
        return Callee(hangs_up_after_seconds=int(end[1:]))
    return Callee()


# Who answers on a trunk whose carrier is not there: the engine gives up, `timer_b` later.
NOBODY = Callee(refuses_with=408, refuses_after_seconds=6.4, rings=False, answers_after_seconds=None)


def _refusing(sip_code: int) -> Callee:
    return Callee(refuses_with=sip_code, rings=False, answers_after_seconds=None)


_BY_END = {
    "486": _refusing(486),  # busy
    "404": _refusing(404),  # no such number
    "503": _refusing(503),  # network trouble
    "603": _refusing(603),  # declines
    "480": Callee(answers_after_seconds=None),  # rings for ever
    "183": Callee(rings=False, early_media=True, answers_after_seconds=1.5),
    "444": Callee(sends_sound=False),  # answers, and no sound comes
    "555": Callee(answers_after_seconds=5.0),
}
