"""The real telephone engine of this machine: where Asterisk and SIPp are, and how to run them.

Either the machine has its own, or `make engine` has made a folder with Debian's. That one is run without root and
without chroot: through the folder's own dynamic loader, with the folder's own libraries.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_OLDEST_ASTERISK = (20,)
_OLDEST_SIPP = (3, 8)  # the test carrier listens for prompts with its rtp_stats
_FOLDER = "/var/cache/minivoice/engine"
_VERSION_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Installation:
    """Programs to run, as the words their command lines begin with, and the folders that Asterisk needs."""

    asterisk: Sequence[str]
    sipp: Sequence[str]
    modules: Path
    data: Path
    version: str  # of Asterisk: 22.10.1
    sipp_version: str

    @property
    def name(self) -> str:
        """How users are told of the engine."""
        return f"asterisk {self.version}"


def find() -> Installation | None:
    """Return the engine of this machine; None when there is none, or one too old.

    The folder that `make engine` makes can be named by the variable MINIVOICE_ENGINE.
    """
    folder = Path(os.environ.get("MINIVOICE_ENGINE") or _FOLDER)
    return _in_folder(folder) or _on_the_machine()


def main() -> int:
    """Print one line with the versions; return the exit status, 1 when there is no engine."""
    found = find()
    if found is None:
        return 1
    print(f"Asterisk {found.version} and SIPp {found.sipp_version} ({found.data}).")
    return 0


def _in_folder(root: Path) -> Installation | None:
    loaders = sorted(root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"))
    if not loaders:
        return None
    libraries = loaders[0].parent
    through = [str(loaders[0]), "--library-path", str(libraries)]
    return _installation(
        asterisk=[*through, str(root / "usr/sbin/asterisk")],
        sipp=[*through, str(root / "usr/bin/sipp")],
        libraries=[libraries],
        data=root / "usr/share/asterisk",
    )


def _on_the_machine() -> Installation | None:
    # Daemons are in /usr/sbin, which ordinary users often do not search.
    asterisk = shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    sipp = shutil.which("sipp")
    if asterisk is None or sipp is None:
        return None
    data = Path("/usr/share/asterisk")
    return _installation(
        asterisk=[asterisk],
        sipp=[sipp],
        libraries=[*Path("/usr/lib").glob("*-linux-gnu*"), Path("/usr/lib"), Path("/usr/lib64")],
        data=data if data.exists() else Path("/var/lib/asterisk"),
    )


def _installation(
    *, asterisk: Sequence[str], sipp: Sequence[str], libraries: Sequence[Path], data: Path
) -> Installation | None:
    modules = next((found for folder in libraries if (found := folder / "asterisk/modules").exists()), None)
    version, sipp_version = _version([*asterisk, "-V"]), _version([*sipp, "-v"])
    if modules is None or _numbers(version) < _OLDEST_ASTERISK or _numbers(sipp_version) < _OLDEST_SIPP:
        return None
    return Installation(asterisk, sipp, modules, data, version, sipp_version)


def _version(argv: Sequence[str]) -> str:
    """Return the first version number that a program prints, or nothing; SIPp's exit status for this is not 0."""
    try:
        asked = subprocess.run(argv, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"[0-9]+(\.[0-9]+)+", asked.stdout)
    return found[0] if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number)


if __name__ == "__main__":
    sys.exit(main())
