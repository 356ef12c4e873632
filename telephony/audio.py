"""Customers' audio: fetched from where they keep it, decoded by a process of `telephony.decoder`, and kept."""

import asyncio
import hashlib
import logging
import subprocess
import sys
import tempfile
from http import HTTPStatus
from math import inf
from pathlib import Path
from time import monotonic
from typing import BinaryIO, NamedTuple, TypeVar

from minivoice.outbound import Client, Failure, Limits
from telephony import decoder
from telephony.cache import Cache
from telephony.turns import Turns

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 9.5  # for everything: nobody is left in silence for more than ten seconds
FETCH_LIMITS = Limits(total_seconds=6.0, max_bytes=10 * 1024 * 1024)
KNOWN_SECONDS = 60.0  # for which an address is not asked again
FAILED_SECONDS = 5.0  # the same for one of which there is no sound

_DECODING_SECONDS = 8.0  # ten minutes of MP3 take four where little else runs; one begun goes on beyond the budget
_DECODING = b"1"  # another whenever a file would sound otherwise than what is kept of it
_KNOWN_ADDRESSES = 1000
_DECODINGS_AT_ONCE = 4  # processes; they share the cores with everything else
_OF_ONE_OWNER = 2
_PROGRAM = Path(decoder.__file__)
_WORDS = {decoder.NOT_AUDIO: "not_audio", decoder.TOO_LONG: "audio_too_long"}


_Wanted = tuple[str, str]  # an owner, and an address
_Key = TypeVar("_Key", str, _Wanted)


class Fetched(NamedTuple):
    """What an engine plays to play what is at an address; '' when that cannot be, and why.

    `failure` is a word of `minivoice.outbound.Failure`, `http_404` or so, `not_audio`, `audio_too_long`, `not_decoded`
    (it took too long, or broke the decoder), `not_kept` (the disk takes no more) or `failed` (the log says more).
    """

    media: str
    failure: str = ""


class NotPlayable(Exception):
    """Of what is at an address there is no sound; the word for it is one of those of `Fetched`."""


class Audio:
    """What customers' addresses answer, kept in `cache` by what it is. Belongs to one event loop."""

    def __init__(self, cache: Cache, client: Client) -> None:
        self._cache = cache
        self._client = client
        self._under_way: dict[_Wanted, asyncio.Task[str]] = {}
        self._known: dict[str, tuple[float, str]] = {}  # when it was fetched, and the name of the sound
        self._failed: dict[_Wanted, tuple[float, str]] = {}  # when, and its word
        self._decoders = Turns(_DECODINGS_AT_ONCE, each=_OF_ONE_OWNER, name="decoder")

    async def fetch(self, url: str, *, owner: str) -> Fetched:
        """Fetch what is at `url`, once for all who want it within a minute; never raises, and takes at most 10 s.

        That is at most 10 MiB, and ten minutes, of WAV or MP3. `owner` is the customer who wants it: what one has
        decoded keeps no other waiting.
        """
        try:
            return Fetched(self._cache.media(self._known_digest(url) or await self._made((owner, url))))
        except NotPlayable as error:
            return Fetched("", str(error))
        except OSError as error:
            logger.warning("a sound is not kept: %s", error)
            return Fetched("", "not_kept")
        except Exception:
            logger.exception("a sound could not be fetched")
            return Fetched("", "failed")

    def _known_digest(self, url: str) -> str:
        fetched_at, digest = self._known.get(url, (-inf, ""))
        is_known = monotonic() - fetched_at < KNOWN_SECONDS and self._cache.has(digest)
        return digest if is_known else ""

    async def _made(self, wanted: _Wanted) -> str:
        """Return what is at an address, together with all of its owner who want it at this moment."""
        failed_at, word = self._failed.get(wanted, (-inf, ""))
        if monotonic() - failed_at < FAILED_SECONDS:
            raise NotPlayable(word)
        making = self._under_way.get(wanted)
        if making is None:
            making = self._under_way[wanted] = asyncio.create_task(self._make(wanted))
            making.add_done_callback(lambda _: self._under_way.pop(wanted))
        try:
            return await asyncio.shield(making)
        except NotPlayable as error:
            _remember(self._failed, wanted, str(error))
            raise

    async def _make(self, wanted: _Wanted) -> str:
        """Return the name of the sound at an address, which is kept from then on."""
        owner, url = wanted
        try:
            async with asyncio.timeout(BUDGET_SECONDS):
                with tempfile.TemporaryFile() as file:  # a thousand calls' audio is more than memory should hold
                    await self._fetch(url, file)
                    digest = await asyncio.to_thread(_digest, file)
                    if not self._cache.has(digest):
                        await asyncio.wrap_future(self._decoders.submit(owner, self._decode, owner, file, digest))
        except TimeoutError as error:
            raise NotPlayable("not_decoded") from error
        _remember(self._known, url, digest)
        return digest

    async def _fetch(self, url: str, file: BinaryIO) -> None:
        try:
            answer = await self._client.request("GET", url, limits=FETCH_LIMITS, into=file)
        except Failure as failure:
            raise NotPlayable(failure.word) from failure
        if answer.status != HTTPStatus.OK:
            raise NotPlayable(f"http_{answer.status}")

    def _decode(self, owner: str, file: BinaryIO, digest: str) -> None:
        """Keep what `file` sounds like. In a thread."""
        self._cache.keep(digest, decode(file), owner=owner)


def decode(file: BinaryIO) -> bytes:
    """Return samples of 16 bit, 8,000 a second, decoded by a process of its own. Raises NotPlayable."""
    file.seek(0)
    try:
        decoding = subprocess.run(
            [sys.executable, "-I", str(_PROGRAM)],
            stdin=file,
            capture_output=True,
            check=False,
            timeout=_DECODING_SECONDS,
            env={},  # no secrets of ours where a stranger's bytes are read
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise NotPlayable("not_decoded") from error
    if decoding.returncode == 0:
        return decoding.stdout
    if decoding.returncode not in _WORDS:
        last_words = decoding.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        logger.warning("a sound is not decoded: status %d: %s", decoding.returncode, last_words[:200])
    raise NotPlayable(_WORDS.get(decoding.returncode, "not_decoded"))


def _remember(known: dict[_Key, tuple[float, str]], what: _Key, told: str) -> None:
    known.pop(what, None)
    known[what] = monotonic(), told
    if len(known) > _KNOWN_ADDRESSES:
        del known[next(iter(known))]


def _digest(file: BinaryIO) -> str:
    """Return what the sound in `file` is kept as."""
    file.seek(0)
    digest = hashlib.sha256(_DECODING)
    while block := file.read(1024 * 1024):
        digest.update(block)
    return digest.hexdigest()
