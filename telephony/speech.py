"""Speech: text as sounds that engines play, rendered once and kept: by eSpeak NG (`telephony.espeak`), or by a program
of the operator's, which reads the text and writes a WAV file.

A long text is spoken in pieces that are played one after the other: the first is rendered when it is asked for, the
others while those before them are heard.
"""

import asyncio
import hashlib
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from telephony.audio import NotPlayable, decode
from telephony.cache import Cache
from telephony.turns import Turns

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 3.0  # for the first piece of a text, from when it is asked for; its turn included

_RENDERING = "3"  # another whenever a text would sound otherwise than what is kept of it
_PROGRAM = Path(__file__).with_name("espeak.py")
_BLANKS = re.compile(r"[\x00-\x20\x7f-\x9f]+")  # eSpeak NG takes commands after some control characters
_PIECE = 400  # characters: some 20 s of English, and always less than what is rendered at most
_SENTENCE, _CLAUSE = r"[.!?\u2026]\s|[\u3002\uff01\uff1f]", r"[,;:]\s|[\u3001\uff0c\uff1b\uff1a]"
_ENDS = [re.compile(end) for end in (_SENTENCE, _CLAUSE, r"\s")]  # where a voice may pause


class Speech:
    """Spoken texts, kept in `cache`. Belongs to one event loop."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}  # by who wants it, and the name of the sound
        self._later: set[asyncio.Task[None]] = set()
        self._first_renderers = Turns(3, each=2, name="speech")
        self._later_renderers = Turns(1, each=1, name="later-speech")

    async def media(self, text: str, *, voice: str, owner: str) -> list[str]:
        """Return what an engine plays, one after the other, to say `text` in a voice of `telephony.voices`; nothing
        when it cannot be spoken, which the log tells. Never raises, and takes three seconds at most.

        A text that is kept is there at once; others wait for their turn and a process. What one `owner`, a customer,
        has said keeps no other waiting. Control characters are blanks.
        """
        parts = _parts(text, voice)
        try:
            missing = [(digest, piece) for digest, piece in parts if not self._cache.has(digest)]
            if missing and missing[0] == parts[0]:
                await self._made(*missing.pop(0), voice, owner)
        except (OSError, RuntimeError) as error:
            logger.warning("a text of %d characters is not spoken: %r", len(text), error)
            return []
        except Exception:
            logger.exception("a text of %d characters is not spoken", len(text))
            return []
        if missing:
            later = asyncio.create_task(self._render_later(missing, voice, owner))
            self._later.add(later)
            later.add_done_callback(self._later.discard)
        return [self._cache.media(digest) for digest, _ in parts]

    async def _made(self, digest: str, piece: str, voice: str, owner: str) -> None:
        """Have a piece made once for all of its owner who want it at this moment."""
        wanted = owner, digest
        making = self._under_way.get(wanted)
        if making is None:
            making = self._under_way[wanted] = asyncio.create_task(self._make_in_time(digest, piece, voice, owner))
            making.add_done_callback(lambda _: self._under_way.pop(wanted))
        await asyncio.shield(making)

    async def _make_in_time(self, digest: str, piece: str, voice: str, owner: str) -> None:
        """Have a piece made within the budget. Beyond it one that is begun goes on, and others are given up."""
        async with asyncio.timeout(BUDGET_SECONDS):
            await asyncio.wrap_future(self._first_renderers.submit(owner, self._make, owner, digest, piece, voice))

    async def _render_later(self, missing: Sequence[tuple[str, str]], voice: str, owner: str) -> None:
        """Have these made one after the other, in turns with other texts."""
        for digest, piece in missing:
            try:
                await asyncio.wrap_future(self._later_renderers.submit(owner, self._make, owner, digest, piece, voice))
            except Exception as error:  # noqa: BLE001  the next piece may be spoken
                logger.warning("a piece of a text is not spoken: %r", error)

    def _make(self, owner: str, digest: str, piece: str, voice: str) -> None:
        """Keep what a piece sounds like. In a thread."""
        if not self._cache.has(digest):  # else another had made it before this was asked for
            self._cache.keep(digest, render(piece, voice=voice), owner=owner)


def kept(text: str, *, voice: str, cache: Cache) -> list[str]:
    """Return what an engine plays to say `text`, nothing unless all of it is kept. From any thread."""
    digests = [digest for digest, _ in _parts(text, voice)]
    try:
        return [cache.media(digest) for digest in digests] if all(map(cache.has, digests)) else []
    except OSError:
        return []  # whoever renders it meets that again, and tells


def pieces(text: str) -> list[str]:
    """Return a text in pieces of at most 400 characters, cut where a voice pauses: after a sentence, if one ends."""
    found = []
    while len(text) > _PIECE:
        head = text[:_PIECE]
        cuts = (max((end.end() for end in ends.finditer(head, _PIECE // 3)), default=0) for ends in _ENDS)
        cut = next(filter(None, cuts), _PIECE)
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text]


def render(text: str, *, voice: str) -> bytes:
    """Return `text` spoken, by a process of its own: samples of 16 bit, 8,000 a second.

    Raises RuntimeError when that cannot be, or not within three seconds, and OSError when no process starts.
    """
    program = _program(voice)
    spoken = _run(program or (sys.executable, "-I", str(_PROGRAM), voice), text)
    return _decoded(spoken) if program else spoken


def _run(program: Sequence[str], text: str) -> bytes:
    """Return what a program makes of a text. It gets no secrets of ours, for it reads what a stranger wrote."""
    name = Path(program[0]).name if program[0] != sys.executable else "eSpeak NG"
    try:
        speaking = subprocess.run(
            program,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=BUDGET_SECONDS,
            env={},
            start_new_session=True,  # Ctrl-C is for the switchboard, which lets calls finish their words
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} took more than {BUDGET_SECONDS:g} s") from error
    if speaking.returncode:
        last_words = speaking.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"{name}: status {speaking.returncode}: {last_words[:200]}")
    return speaking.stdout


def _decoded(wav: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(wav)
        try:
            return decode(file)
        except NotPlayable as error:
            raise RuntimeError(f"what the voice's program wrote is {error}") from error


def _program(voice: str) -> tuple[str, ...]:
    """Return what speaks by a voice of `telephony.voices`; nothing is eSpeak NG."""
    described = settings.SPEECH_PROGRAMS.get(voice)
    return described.program if described else ()


def _parts(text: str, voice: str) -> list[tuple[str, str]]:
    """Return the pieces of a text, each after the name of its sound."""
    return [(_digest(piece, voice), piece) for piece in pieces(_BLANKS.sub(" ", text))]


def _digest(piece: str, voice: str) -> str:
    program = "\0".join(_program(voice))
    return hashlib.sha256(f"{_RENDERING}{program}\n{voice}\n{piece}".encode()).hexdigest()
