"""Trunks on the engine: each row is brought there, compared on every connect, and its health written back.

The row is the queue: one whose `provisioned_for` is not its `updated_at` has changed, one whose `check_at` is over is
looked up anew. Only the switchboard does this, in a thread that nothing else waits for; nobody else's request waits for
the engine. What the engine has of a trunk it says by a mark: what the trunk was made of, and the engine's own run, for
after a restart it neither asks nor lists the trunks it kept.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from time import monotonic

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Case, F, Q, When

from minivoice import errors
from telephony import link, sip, vetting
from telephony.engines.ari_config import FIRST_ANSWER_SECONDS, TrunkConfig
from telephony.engines.facts import CommandRefused
from telephony.models import Trunk

logger = logging.getLogger(__name__)

_BATCH = 50
_STEP_SECONDS = 5.0
_LOOK_EVERY = timedelta(seconds=2)
_CHECK_EVERY = timedelta(minutes=5)  # names of carriers change; and so may what they lead to
_TRY_AGAIN = timedelta(seconds=15)
_FIRST_ANSWER = timedelta(seconds=FIRST_ANSWER_SECONDS)
_REGISTERED_WITHIN = timedelta(seconds=8)
_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Load:
    """What calls know of trunks, by the trunk's row: calls up, and the last refusal of our credentials (SIP code)."""

    channels: Mapping[int, int] = field(default_factory=dict)
    refusals: Mapping[int, tuple[int, datetime]] = field(default_factory=dict)  # code, when


class Provisioner:
    """The trunks of the engine that the switchboard is linked to. `step` is for one thread, the rest for any other."""

    def __init__(self) -> None:
        self._engine_run = ""
        self._is_linked = False
        self._links = self._compared_links = 0  # a link may come while the trunks of the one before are compared
        self._looked_at: datetime | None = None

    def linked(self) -> None:
        """Say that there is a link anew: whatever the engine had, it may have lost."""
        self._links += 1
        self._is_linked = True

    def unlinked(self) -> None:
        """Say that there is no link."""
        self._is_linked = False

    def step(self, *, now: datetime, load: Callable[[], Load]) -> int:
        """Do what is due now; return how many trunks were brought to the engine or taken from it.

        Raises EngineError when the engine is away: all of it stays due.
        """
        if not self._is_linked:
            return 0
        if self._compared_links != (links := self._links):
            self._engine_run = _compare(now=now)
            self._compared_links = links
        count = 0
        ends_at = monotonic() + _STEP_SECONDS  # names that are slow to look up keep nobody's change waiting
        for trunk in _due(now):
            _settle(trunk, self._engine_run, now)
            count += 1
            if monotonic() > ends_at:
                break
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY:
            _look(now=now, load=load())
            self._looked_at = now
        return count


def _compare(*, now: datetime) -> str:
    """Take strangers from the engine and make every trunk due; return what tells this run of the engine."""
    trunks = link.adapter().trunks
    run = hashlib.sha256(trunks.started_at().encode()).hexdigest()[:8]
    ours = set(Trunk.objects.filter(is_active=True).values_list("endpoint", flat=True))
    for name in trunks.reachable().keys() - ours:
        logger.info("trunk %s is none of ours", name)
        trunks.remove(name)
    Trunk.objects.filter(is_active=True).update(check_at=now)
    return run


def _due(now: datetime) -> list[Trunk]:
    changed = Q(provisioned_for=None) | ~Q(provisioned_for=F("updated_at"))
    waiting = Trunk.objects.filter(changed | Q(check_at__lte=now))
    # Changes in their order: an address is taken from the trunk that had it before another one has it.
    changed_at = Case(When(changed, then=F("updated_at")))
    return list(waiting.order_by(changed_at.asc(nulls_last=True), F("check_at").asc(nulls_first=True), "id")[:_BATCH])


def _settle(trunk: Trunk, engine_run: str, now: datetime) -> None:
    """Bring one row to the engine, or take it away. Raises EngineError when the engine is away."""
    trunks = link.adapter().trunks
    if not trunk.is_active:
        trunks.remove(trunk.endpoint)
        _note(trunk, now, Trunk.State.OFF, "disabled by support" if trunk.disabled_at else "", check_at=None)
        return
    try:
        address = _address(trunk)
        config = _config(trunk, address, trunk.password)
        mark = f"{engine_run}.{config.revision}"
        if trunks.mark(trunk.endpoint) == mark:
            _note(trunk, now, None, "", check_at=now + _CHECK_EVERY, address=address)
            return
        trunks.put(config, mark=mark)
    except errors.InvalidRequest as refusal:
        _refuse(trunk, refusal.message, now)
    except ImproperlyConfigured as error:
        logger.error("trunk %s: %s", trunk.public_id, error)  # noqa: TRY400  it says it all
        _refuse(trunk, "its password cannot be read", now)
    except (CommandRefused, ValueError) as refusal:
        logger.warning("the engine refuses trunk %s: %s", trunk.public_id, refusal)
        _refuse(trunk, "the engine does not take these settings", now)
    else:
        logger.info("trunk %s is on the engine, at %s", trunk.public_id, address)
        reason = "waiting for the carrier's first answer"
        check_at = now + _CHECK_EVERY
        _note(trunk, now, Trunk.State.PENDING, reason, check_at=check_at, address=address, provisioned_at=now)


def _address(trunk: Trunk) -> str:
    """Return the address to call: the one known, as long as the name leads there, or to nothing at present.

    Raises InvalidRequest when the trunk may not be called, or nobody knows where.
    """
    found = vetting.addresses_of(trunk)
    is_unchanged = trunk.provisioned_for == trunk.updated_at
    if trunk.address in found or (trunk.address and is_unchanged and not found):
        return trunk.address
    if not found:
        raise errors.InvalidRequest(f"{sip.place(trunk.proxy).host} does not resolve", param="proxy")
    return found[0]


def _config(trunk: Trunk, address: str, password: str) -> TrunkConfig:
    place = sip.place(trunk.proxy)
    return TrunkConfig(
        name=trunk.endpoint,
        host=place.host,
        port=place.port,
        address=str(ip_address(address)),
        transport=trunk.transport,
        username=trunk.username,
        password=password,
        realm=trunk.realm,
        from_domain=trunk.from_domain,
        inbound_ip=(trunk.inbound_ip or "") if trunk.inbound_ip_approved_at else "",
        codecs=tuple(trunk.codecs) or Trunk.USUAL_CODECS,
        srtp=trunk.srtp,
        registers=trunk.registers,
    )


def _refuse(trunk: Trunk, reason: str, now: datetime) -> None:
    link.adapter().trunks.remove(trunk.endpoint)
    _note(trunk, now, Trunk.State.REFUSED, reason, check_at=now + _TRY_AGAIN, address="")


def _note(trunk: Trunk, now: datetime, state: Trunk.State | None, reason: str, **more: datetime | str | None) -> None:
    """Write down how a row was settled, unless it has changed meanwhile: then it is still due."""
    if state is not None:
        more |= _state(trunk, state, reason, now)
    seen = Trunk.objects.filter(pk=trunk.pk, updated_at=trunk.updated_at)
    seen.update(provisioned_for=trunk.updated_at, **more)


def _state(trunk: Trunk, state: Trunk.State, reason: str, now: datetime) -> dict[str, datetime | str | None]:
    reason = reason[:_REASON_LENGTH]
    if (trunk.state, trunk.state_reason) == (state, reason):
        return {}
    return {"state": state, "state_reason": reason, "state_at": now}


def _look(*, now: datetime, load: Load) -> None:
    """Write down how the trunks on the engine are."""
    settled = Trunk.objects.filter(is_active=True, provisioned_for=F("updated_at"))
    rows = list(settled.exclude(state=Trunk.State.REFUSED))
    trunks = link.adapter().trunks
    reachable = trunks.reachable()
    registered = trunks.registered() if any(row.registers for row in rows) else None
    for row in rows:
        state, reason = _health(row, reachable.get(row.endpoint, False), registered, load, now)
        if changes := _state(row, state, reason, now):
            logger.info("trunk %s is %s %s", row.public_id, state, reason)
            Trunk.objects.filter(pk=row.pk, updated_at=row.updated_at).update(**changes)


def _health(
    row: Trunk, is_reachable: bool, registered: Mapping[str, bool] | None, load: Load, now: datetime
) -> tuple[Trunk.State, str]:
    told_at = row.provisioned_at or now
    code, refused_at = load.refusals.get(row.pk, (0, told_at))
    if code and refused_at > told_at:
        return Trunk.State.DOWN, f"the carrier refused the last call with {code}: are user name and password right?"
    if not is_reachable and now - told_at >= _FIRST_ANSWER:
        return Trunk.State.DOWN, _silence(row)
    is_registered = not row.registers or registered is None or registered.get(_client_uri(row), False)
    if not is_registered and now - told_at >= _REGISTERED_WITHIN:
        return Trunk.State.DOWN, "the carrier does not take our registration: are user name and password right?"
    if row.max_channels is not None and load.channels.get(row.pk, 0) >= row.max_channels:
        return Trunk.State.FULL, f"all {row.max_channels} channels are in use"
    if not is_reachable:
        return Trunk.State.PENDING, "waiting for the carrier's first answer"
    if not is_registered:
        return Trunk.State.PENDING, "registering with the carrier"
    return Trunk.State.UP, ""


def _silence(row: Trunk) -> str:
    told = f"no answer to OPTIONS from {row.address} ({row.proxy}, {row.transport})"
    if row.transport != Trunk.Transport.TLS:
        return told
    return f"{told}: is its certificate valid for {sip.place(row.proxy).host}?"


def _client_uri(row: Trunk) -> str:
    return _config(row, row.address, "").client_uri
