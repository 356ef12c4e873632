"""Redis as a doorbell: wake a worker, tell a waiting request. Nothing here is ever the only copy of anything.

Every call may fail; the rows are the queue and a sweep finds what a lost nudge left. After a failure nudges are
skipped for a few seconds, because a frozen Redis would otherwise block each request for its whole timeout.
"""

import logging
import time

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 5.0
_PENDING_MILLISECONDS = 1000
_PIECE_SECONDS = 0.5  # less than the socket's timeout
_quiet_until = 0.0


def wake(task: str) -> bool:
    """Ask a worker to run `task` (its name); requests that meet before a worker starts become one.

    Returns False when Redis could not be asked: the sweep will do the work.
    """
    if _is_quiet():
        return False
    try:
        if _redis.set(_pending(task), 1, nx=True, px=_PENDING_MILLISECONDS):
            current_app.send_task(task, retry=False)
    except (RedisError, OperationalError, OSError) as error:
        _be_quiet(error)
        return False
    return True


def woken(task: str) -> None:
    """Say that a worker has begun `task`: a later `wake` sends a new one. Call it before looking for work."""
    if _is_quiet():
        return
    try:
        _redis.delete(_pending(task))
    except (RedisError, OSError) as error:
        _be_quiet(error)


def wait(topic: str, seconds: float) -> str | None:
    """Return the word told about `topic` within `seconds`, or None. Hold no transaction while waiting."""
    ends_at = time.monotonic() + seconds
    while not _is_quiet() and (left := ends_at - time.monotonic()) > 0:
        try:
            # In short pieces: a Redis that freezes meanwhile is given up as soon as one that was frozen before.
            answer = _redis.blpop([_topic(topic)], timeout=max(min(left, _PIECE_SECONDS), 0.01))
        except (RedisError, OSError) as error:
            _be_quiet(error)
            return None
        if answer:
            return str(answer[1])
    return None


def tell(topic: str, word: str) -> None:
    """Tell whoever waits for `topic` this word; it is forgotten after ten seconds when nobody does."""
    if _is_quiet():
        return
    try:
        with _redis.pipeline(transaction=False) as pipeline:
            pipeline.rpush(_topic(topic), word)
            pipeline.expire(_topic(topic), 10)
            pipeline.execute()
    except (RedisError, OSError) as error:
        _be_quiet(error)


def answers() -> bool:
    """Whether Redis answers at all."""
    try:
        return bool(_redis.ping())
    except (RedisError, OSError):
        return False


def _connect() -> Redis:
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=1.0,
        socket_connect_timeout=1.0,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def _pending(task: str) -> str:
    return f"nudge:{task}"


def _topic(topic: str) -> str:
    return f"word:{topic}"


def _is_quiet() -> bool:
    return time.monotonic() < _quiet_until


def _be_quiet(error: Exception) -> None:
    global _quiet_until  # noqa: PLW0603  one process, one doorbell
    _quiet_until = time.monotonic() + _QUIET_SECONDS
    logger.warning("redis does not answer, nudges pause for %s s: %s", _QUIET_SECONDS, type(error).__name__)


_redis = _connect()
