"""SIPp as somebody who calls in (`caller.xml`)."""

import re
import subprocess
from pathlib import Path

from minivoice.local import engine
from minivoice.local.carrier import pressing
from minivoice.local.kept import free_port

_SCENARIO = Path(__file__).resolve().parent / "caller.xml"
_SECONDS = 30
_REFUSED = re.compile(r"SIP/2\.0 ([3-6][0-9]{2}) ")


class Calling:
    """A call from `host`, an address of loopback, that presses 4 and 2 when the menu has been read out."""

    def __init__(self, *, folder: Path, host: str, sip_port: int, number: str, caller_id: str) -> None:
        installation = engine.find()
        assert installation is not None
        self._errors = folder / f"{host}-{number}.errors"
        options: dict[str, object] = {
            "-sf": _SCENARIO,
            "-i": host,
            "-p": free_port(),
            "-min_rtp_port": 28_000,
            "-max_rtp_port": 28_999,
            "-s": number,
            "-m": 1,
            "-timeout": f"{_SECONDS}s",
            "-watchdog_interval": 0,  # of SIPp: that the machine stood still is no fault of the call
            "-error_file": self._errors,
        }
        told = ("-key", "caller", caller_id)
        words = [str(word) for option in options.items() for word in option]
        self._process = subprocess.Popen(
            [*installation.sipp, f"127.0.0.1:{sip_port}", *words, *pressing(), *told, "-trace_err", "-nostdin"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TERM": "dumb"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self) -> str:
        """Wait for the call's end; return what SIPp did not expect of it: nothing, if all was as it should be."""
        status = self._process.wait(_SECONDS + 5)
        told = self._errors.read_text() if self._errors.exists() else ""
        assert bool(status) == bool(told), (status, told)
        return told

    def refused(self) -> int:
        """Wait for a refusal; return its code."""
        told = self.end()
        found = _REFUSED.search(told)
        assert found, told
        return int(found[1])
