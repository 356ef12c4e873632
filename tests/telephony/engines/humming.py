"""A phone that hums, so that what the engine hears of a far end can be told by its tone."""

import math
import re
import struct
import threading
import time

from tests.telephony.engines.phone import LINEAR, RATE, Phone

HUM = 440  # Hz; the simulated callees' too
_PACKET_SECONDS = 0.02
_PACKET_SAMPLES = 160
_PERIOD_SAMPLES = 200  # eleven turns of 440 Hz


class HummingPhone(Phone):
    """Answers at once, and hums until it is put away."""

    def _ok(self, request: str) -> str:
        port = re.search(r"^m=audio ([0-9]+) ", request, re.MULTILINE)
        if request.startswith("INVITE ") and port:
            threading.Thread(target=self._hum, args=(int(port[1]),), daemon=True).start()
        return super()._ok(request)

    def _hum(self, port: int) -> None:
        started_at = time.monotonic()
        number = 0
        while not self._done.wait(max(0.0, started_at + number * _PACKET_SECONDS - time.monotonic())):
            first = number * _PACKET_SAMPLES
            header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, first, port)
            samples = bytes(_WAVE[(first + sample) % _PERIOD_SAMPLES] for sample in range(_PACKET_SAMPLES))
            try:
                self._sound.sendto(header + samples, ("127.0.0.1", port))
            except OSError:
                return
            number += 1


def _mu_law(level: float) -> int:
    return min(range(256), key=lambda byte: abs(LINEAR[byte] - level))


_WAVE = bytes(_mu_law(8000 * math.sin(2 * math.pi * HUM * sample / RATE)) for sample in range(_PERIOD_SAMPLES))
