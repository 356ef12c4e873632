"""The link to the telephone engine: how to reach it, and whether it is alive."""

from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock

from django.conf import settings

from minivoice import fields, lease
from minivoice.prepared import Rows
from telephony.engines.ari import Ari
from telephony.models import Engine


def engine() -> Engine:
    """Return the one engine of this release. Raises Engine.DoesNotExist before it was set up."""
    found = _ENGINE.one([])
    if found is None:
        raise Engine.DoesNotExist
    row: Engine = found[0]
    return row


def adapter() -> Ari:
    """Return the adapter that commands the engine; its HTTP connections are kept for the life of the process.

    Ask for it before each command: a process whose lease is over ends here.
    """
    row = engine()
    lease.check()
    with _building:  # one for all threads: its event socket carries their commands
        return _adapter(row.url, row.user, _password(row))


def beat(*, now: datetime) -> None:
    """Note that the switchboard's link to the engine is alive at `now`."""
    Engine.objects.filter(pk=engine().pk).update(seen_at=now)


def is_up(*, now: datetime) -> bool:
    """Whether the link was alive lately."""
    return Engine.objects.filter(seen_at__gt=alive_since(now=now)).exists()


def alive_since(*, now: datetime) -> datetime:
    """Return the moment after which an engine must have been seen to count as up."""
    return now - timedelta(seconds=settings.ENGINE_SILENCE_SECONDS)


def _password(row: Engine) -> str:
    """Return the password, decrypted once: a command would wait for that a tenth of a millisecond."""
    stored: str = vars(row)["password"]
    return _revealed(stored) if isinstance(stored, fields.Sealed) else stored


# Read for each command: a call has a dozen.
_ENGINE = Rows("SELECT {engine} FROM telephony_engine AS engine ORDER BY id LIMIT 1", engine=Engine)
_revealed = lru_cache(maxsize=4)(fields.reveal)
_building = Lock()


@lru_cache(maxsize=4)
def _adapter(url: str, user: str, password: str) -> Ari:
    return Ari(url, user, password)
