"""Speech: text as the 8 kHz WAV that engines play, rendered once by eSpeak NG (`telephony.espeak`) and kept."""

import hashlib
import logging
import os
import re
import subprocess
import sys
import threading
import wave
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from telephony.engines.facts import EngineError

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 3.0  # for a text, from when it is asked for; its turn included

_RATE, _SAMPLE_BYTES = 8000, 2  # one channel
_RENDERING = "en-us 2"  # another whenever a text would sound otherwise than what is kept of it
_PROGRAM = Path(__file__).with_name("espeak.py")
_LONG = 500  # characters; such texts have a process to themselves, so that the usual ones need not wait for them
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # eSpeak NG takes commands after some of them

_FRESH_SECONDS = 60.0  # an engine told to play has fetched by then
_OURS = re.compile(r"[0-9a-f]{64}\..+")  # nothing else in the folder is touched


class NotSpoken(EngineError):
    """A text could not be rendered or kept; the log says why."""


class Speech:
    """Spoken texts in `folder`, which is served to engines at `url` (`http://host:port`).

    Beyond `kept_bytes` those last used longest ago are removed, but none that was used within the last minute.
    """

    def __init__(self, folder: Path, *, url: str, kept_bytes: int) -> None:
        self._folder = folder
        self._url = url
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[None]] = {}  # by the name of the file
        self._long = ThreadPoolExecutor(1, thread_name_prefix="long-speech")
        self._short = ThreadPoolExecutor(2, thread_name_prefix="speech")

    def media(self, text: str) -> str:
        """Return what an engine plays to say `text`: `sound:` and an address of ours.

        A text that is kept is there at once; others wait for their turn and a process, three seconds at most.
        Control characters are blanks. Raises NotSpoken.
        """
        text = _CONTROLS.sub(" ", text)
        digest = hashlib.sha256(f"{_RENDERING}\n{text}".encode()).hexdigest()
        file = self._folder / f"{digest}.wav"
        try:
            if not _used(file):
                self._wait(file, text)
        except (OSError, RuntimeError, CancelledError) as error:
            logger.warning("a text of %d characters is not spoken: %r", len(text), error)
            raise NotSpoken("the text could not be spoken") from error
        return f"sound:{self._url}/{file.name}"

    def _wait(self, file: Path, text: str) -> None:
        """Have `file` made, once for all who want it at this moment. Beyond the budget one that is begun goes on."""
        with self._lock:
            making = self._under_way.get(file.name)
            if making is None:
                renderers = self._long if len(text) > _LONG else self._short
                making = self._under_way[file.name] = renderers.submit(self._make, file, text)
                making.add_done_callback(lambda _: self._under_way.pop(file.name, None))
        try:
            making.result(BUDGET_SECONDS)
        except TimeoutError:
            making.cancel()
            raise

    def _make(self, file: Path, text: str) -> None:
        if not _used(file):  # else another had made it before this was asked for
            self._keep(file, render(text))

    def _keep(self, file: Path, samples: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        half_written = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            with half_written.open("wb") as target:
                with wave.open(target, "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(_SAMPLE_BYTES)
                    sound.setframerate(_RATE)
                    sound.writeframes(samples)
                target.flush()
                os.fsync(target.fileno())  # an empty file would be taken for the speech ever after
            half_written.replace(file)
        finally:
            half_written.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # another process makes room at this moment
            self._make_room()

    def _make_room(self) -> None:
        with os.scandir(self._folder) as entries:
            found = [(entry.stat(), Path(entry)) for entry in entries if _OURS.fullmatch(entry.name)]
        found.sort(key=lambda kept: kept[0].st_mtime, reverse=True)
        fresh_since = found[0][0].st_mtime - _FRESH_SECONDS
        total = 0
        for about, path in found:
            total += about.st_size
            if total > self._kept_bytes and about.st_mtime < fresh_since:
                path.unlink()


def render(text: str) -> bytes:
    """Return `text` spoken, by a process of its own: samples of 16 bit, 8,000 a second, at most 240 s.

    Raises RuntimeError when eSpeak NG cannot, or not within three seconds, and OSError when no process starts.
    """
    try:
        speaking = subprocess.run(
            [sys.executable, "-P", str(_PROGRAM)],
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=BUDGET_SECONDS,
            start_new_session=True,  # Ctrl-C is for the switchboard, which lets calls finish their words
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"eSpeak NG took more than {BUDGET_SECONDS:g} s") from error
    if speaking.returncode:
        last_words = speaking.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"eSpeak NG: status {speaking.returncode}: {last_words[:200]}")
    return speaking.stdout


def _used(file: Path) -> bool:
    """Whether `file` is there; now it was the last one used."""
    try:
        os.utime(file)
    except FileNotFoundError:
        return False
    return True
