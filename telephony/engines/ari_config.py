"""Trunks on an engine that speaks ARI, by push configuration (Asterisk 22, `rest-api/api-docs/asterisk.json`).

A trunk is up to five objects of `res_pjsip` that share its name. Measured on Asterisk 22.10: a PUT on an object that
is there keeps what it does not name, and adds to lists (a changed contact leaves the old one asked as well): so objects
are made anew. The endpoint comes after its `aor`, or the carrier is never asked by OPTIONS; and last of all, with
what it was made of as its `accountcode`: an endpoint that is there and says so is whole.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from telephony.engines.ari_events import INBOUND_CONTEXT
from telephony.engines.ari_transport import Answered
from telephony.engines.ari_words import ID, checked
from telephony.engines.facts import (
    MEDIA_TIMEOUT_ON_HOLD_SECONDS,
    MEDIA_TIMEOUT_SECONDS,
    ChannelGone,
    CommandRefused,
    EngineUnreachable,
)

Fields = dict[str, str]
Objects = list[tuple[str, Fields]]  # type and fields, in the order they are made

_TYPES = ("auth", "aor", "identify", "registration", "endpoint")
_OUTSIDE = "/asterisk/config/dynamic/res_pjsip"
# A carrier that falls silent is told within 30 s: asked each 20 s, given up after 3 s more.
_ASK_SECONDS = 20
_ANSWER_SECONDS = 3
# The first OPTIONS of a trunk just put is sent at any moment of that time.
FIRST_ANSWER_SECONDS = _ASK_SECONDS + _ANSWER_SECONDS + 1
_REGISTERED_SECONDS = 300
_CONTACT_USER = "minivoice"  # an extension of the dialplan, which finds out what was dialled
_FIRST_REGISTRATION_SECONDS = 3  # within which it is tried, at random: after a restart all are
_AGAIN_SECONDS = 20
_REJECTED_AGAIN_SECONDS = 60  # carriers lock out who tries a wrong password too often
_TEXT = re.compile(r"[ -~]{0,300}")  # no line break: the engine's database and SIP are made of lines
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]")
_PLACE = re.compile(r"[A-Za-z0-9.:]{2,45}")
_METRIC = re.compile(
    r"^asterisk_pjsip_outbound_registration_status\{(?P<labels>[^}]*)\} (?P<status>[0-9])", re.MULTILINE
)
_REGISTERED = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig:
    """A trunk as the engine is to know it. `address` is where the host was found to be, and all that is dialled."""

    name: str
    host: str  # without brackets
    port: int | None
    address: str
    transport: str  # udp, tcp or tls
    username: str = ""
    password: str = ""
    realm: str = ""
    from_domain: str = ""
    inbound_ip: str = ""  # calls from there are its; empty: none
    codecs: tuple[str, ...] = ("ulaw", "alaw")
    srtp: bool = False
    registers: bool = False
    media_timeout_seconds: int = MEDIA_TIMEOUT_SECONDS

    @property
    def revision(self) -> str:
        """What it is made of, in short; tells no secret."""
        text = json.dumps(self.objects())
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def client_uri(self) -> str:
        """As whom it registers."""
        return f"sip:{self.username.replace('@', '%40')}@{self._uri_host}"

    def objects(self) -> Objects:
        """Return its objects in the order they are made. Raises ValueError for text that has no place in them."""
        made: Objects = [("aor", self._aor())]
        if self.username:
            made.insert(0, ("auth", self._auth()))
        if self.inbound_ip:
            made.append(("identify", {"endpoint": self.name, "match": checked(_PLACE, self.inbound_ip)}))
        if self.registers:
            made.append(("registration", self._registration()))
        made.append(("endpoint", self._endpoint()))
        for _, fields in made:
            for value in fields.values():
                checked(_TEXT, value)
        return made

    def _auth(self) -> Fields:
        return {
            "auth_type": "userpass",
            "username": self.username,
            "password": self.password,
            "realm": self.realm,
        }

    def _aor(self) -> Fields:
        return {
            "contact": self._uri,
            "outbound_proxy": self._route,
            "qualify_frequency": str(_ASK_SECONDS),
            "qualify_timeout": f"{_ANSWER_SECONDS}.0",
        }

    def _registration(self) -> Fields:
        return {
            "transport": self.transport,
            "server_uri": self._uri,
            "client_uri": self.client_uri,
            "outbound_proxy": self._route,
            "outbound_auth": self.name,
            "contact_user": _CONTACT_USER,
            "expiration": str(_REGISTERED_SECONDS),
            "max_random_initial_delay": str(_FIRST_REGISTRATION_SECONDS),
            "retry_interval": str(_AGAIN_SECONDS),
            "fatal_retry_interval": str(_REJECTED_AGAIN_SECONDS),
            "forbidden_retry_interval": str(_REJECTED_AGAIN_SECONDS),
            "auth_rejection_permanent": "no",
            "max_retries": "1000000",
            # The carrier sends its calls to a contact that only it knows, by its `line`: they are this trunk's.
            "line": "yes",
            "endpoint": self.name,
        }

    def _endpoint(self) -> Fields:
        return {
            "transport": self.transport,
            "aors": self.name,
            "outbound_auth": self.name if self.username else "",
            "outbound_proxy": self._route,
            "from_domain": checked(_HOST, self.from_domain) if self.from_domain else "",
            "context": INBOUND_CONTEXT,
            "identify_by": "ip",
            # Unset it would be kept as the number `unknown`, and callers be called so; a name leaves theirs alone.
            "callerid": "trunk",
            "disallow": "all",
            "allow": ",".join(self.codecs),
            "media_encryption": "sdes" if self.srtp else "no",
            "direct_media": "no",
            "send_connected_line": "no",
            "dtmf_mode": "auto_info",
            "rtp_timeout": str(self.media_timeout_seconds),
            "rtp_timeout_hold": str(MEDIA_TIMEOUT_ON_HOLD_SECONDS),
            # Behind NAT on either side; and a far end's Contact or Record-Route cannot name an address on our inside.
            "rewrite_contact": "yes",
            "rtp_symmetric": "yes",
            "force_rport": "yes",
            # A far end may not have us call others. What it redirects a call to (302) is asked on the same channel, and
            # by way of `outbound_proxy`: of itself. The default would dial whatever it names, over any trunk.
            "redirect_method": "uri_pjsip",
            "allow_transfer": "no",
            "allow_subscribe": "no",
            "trust_id_inbound": "no",
        }

    @property
    def _uri_host(self) -> str:
        return checked(_HOST, f"[{self.host}]" if ":" in self.host else self.host)

    @property
    def _uri(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"sip:{self._uri_host}{port}{self._parameter}"

    @property
    def _route(self) -> str:
        """Where its messages go, whatever host they name: the address that was vetted, hidden from the carrier.

        Over TLS the host by its name, which is what its certificate is checked for: no other host has one.
        """
        host = self.host if self.transport == "tls" else self.address
        place = f"[{host}]" if ":" in host else host
        port = self.port or (5061 if self.transport == "tls" else 5060)
        return f"sip:{checked(_HOST, place)}:{port}{self._parameter};lr;hide"

    @property
    def _parameter(self) -> str:
        return "" if self.transport == "udp" else f";transport={self.transport}"


class Trunks:
    """The trunks of one engine: those that were pushed, beside what its own configuration files have."""

    def __init__(self, command: Callable[..., Answered], metrics: Callable[[], Answered]) -> None:
        self._command = command
        self._metrics = metrics

    def started_at(self) -> str:
        """Return what tells this run of the engine from the one before it.

        After a restart pushed trunks can be dialled, but their carriers are neither asked nor listed.
        """
        try:
            answered = self._command("GET", "/asterisk/info", params={"only": "status"})
            return str(answered.json()["status"]["startup_time"])
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnreachable("the engine does not say since when it runs") from error

    def reachable(self) -> dict[str, bool]:
        """Return the names of all trunks that are there, and whether the carrier answers OPTIONS.

        Before a first answer it does not: that may take FIRST_ANSWER_SECONDS from the push on.
        """
        try:
            rows = self._command("GET", "/endpoints/PJSIP").json()
            return {str(row["resource"]): row["state"] == "online" for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnreachable("the engine's list of trunks makes no sense") from error

    def registered(self) -> dict[str, bool] | None:
        """Return as whom the engine wants to be registered, and whether it is; None when it does not tell."""
        answered = self._metrics()
        if answered.status != 200:
            return None
        found: dict[str, bool] = {}
        for metric in _METRIC.finditer(answered.text):
            labels = dict(re.findall(r'([a-z_]+)="([^"]*)"', metric["labels"]))
            uri = labels.get("username", "")
            found[uri] = metric["status"] == _REGISTERED and found.get(uri, True)
        return found

    def mark(self, name: str) -> str:
        """Return with which mark the trunk was put; '' when it is not there, or not of our making."""
        try:
            rows = self._command("GET", f"{_OUTSIDE}/endpoint/{checked(ID, name)}").json()
            return next((str(row["value"]) for row in rows if row["attribute"] == "accountcode"), "")
        except ChannelGone:
            return ""
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnreachable("the engine's word about a trunk makes no sense") from error

    def put(self, config: TrunkConfig, *, mark: str) -> None:
        """Make a trunk, in place of what was there by its name; it can be called over at once.

        Raises CommandRefused when the engine will not have it; nothing of it is there then.
        """
        objects = config.objects()
        self.remove(config.name)
        for kind, fields in objects:
            if kind == "endpoint":
                fields["accountcode"] = checked(ID, mark)
            try:
                self._put(kind, config.name, fields)
            except CommandRefused:
                self.remove(config.name)
                raise

    def remove(self, name: str) -> None:
        """Take a trunk away: no new call takes it, those that are up go on. What a file configures stays."""
        for kind in reversed(_TYPES):
            self._remove(kind, checked(ID, name))

    def _put(self, kind: str, name: str, fields: Mapping[str, str]) -> None:
        rows = [{"attribute": attribute, "value": value} for attribute, value in fields.items() if value]
        self._command("PUT", f"{_OUTSIDE}/{kind}/{name}", json={"fields": rows})

    def _remove(self, kind: str, name: str) -> None:
        with suppress(ChannelGone, CommandRefused):  # never there, or in a file
            self._command("DELETE", f"{_OUTSIDE}/{kind}/{name}")
