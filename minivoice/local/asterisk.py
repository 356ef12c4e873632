"""Asterisk as a child of the supervisor, on loopback only, configured by us in the state folder.

`deploy/engine/conf` holds what is the same everywhere: the dialplan and the modules. What differs is written here.
"""

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from minivoice.local import sockets
from minivoice.local.engine import Installation
from minivoice.local.supervisor import Process

_DEPLOYED = Path(__file__).resolve().parent.parent.parent / "deploy" / "engine"
_SAME_EVERYWHERE = _DEPLOYED / "conf"
_ANSWER_SECONDS = 2.0
_ASK_CARRIER_SECONDS = 30


class Asterisk:
    """The engine of the state folder `state`: ARI on `http_port`, SIP on `sip_port` (TLS: `tls_port`) of 127.0.0.1.

    `trunks` are the carriers it knows: the endpoint's name, and where the carrier listens (`host:port`). Those in
    `unwatched` it dials without having asked first whether the carrier is there. Carriers over TLS must show
    certificates of the `authorities` in that file, by default those that `requests` trusts.
    """

    def __init__(
        self,
        *,
        installation: Installation,
        state: Path,
        http_port: int,
        sip_port: int,
        tls_port: int,
        user: str,
        password: str,
        trunks: Mapping[str, str],
        unwatched: Collection[str] = (),
        authorities: Path | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{http_port}/ari"
        self._installation = installation
        self._home = state / "asterisk"
        self._sockets = sockets.folder(state)
        self._http_port, self.sip_port, self._tls_port = http_port, sip_port, tls_port
        self._authorities = authorities or Path(DEFAULT_CA_BUNDLE_PATH)
        self._user, self._password = user, password
        self._trunks, self._unwatched = dict(trunks), unwatched

    @property
    def charges(self) -> Path:
        """The file in which Asterisk itself writes a line for each channel that ended (its CDR)."""
        return self._home / "log" / "cdr-csv" / "Master.csv"

    @property
    def cache(self) -> Path:
        """The folder of what the engine has fetched to play; any file in it may be removed at any time.

        It is a short path: what was fetched is not played when its path is longer than the address it came from.
        """
        return self._sockets / "engine-cache"

    def prepare(self) -> None:
        """Write the configuration anew, and empty the cache; what else the engine keeps (trunks pushed to it) stays."""
        configuration = self._home / "etc"
        shutil.rmtree(configuration, ignore_errors=True)
        shutil.copytree(_SAME_EVERYWHERE, configuration)
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir(mode=0o700)
        for folder in ("db", "keys", "log/cdr-csv", "spool/recording", "spool/tmp"):
            (self._home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in self._different_here().items():
            with os.fdopen(os.open(configuration / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)

    def process(self) -> Process:
        """The engine, to be given to a supervisor after `prepare`."""
        return Process(
            name="asterisk",
            argv=[*self._installation.asterisk, "-f", "-n", "-C", str(self._home / "etc" / "asterisk.conf")],
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self._home)},
            folder=self._home,
            ready=self.is_ready,
        )

    def is_ready(self) -> bool:
        """Whether ARI answers, which it does once all modules are loaded."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.auth = (self._user, self._password)
                answer = session.get(f"{self.url}/asterisk/info", timeout=_ANSWER_SECONDS)
        except requests.RequestException:
            return False
        return answer.ok

    def _different_here(self) -> dict[str, str]:
        return {
            "asterisk.conf": self._folders(),
            "http.conf": f"[general]\nenabled = yes\nbindaddr = 127.0.0.1\nbindport = {self._http_port}\n",
            "ari.conf": (
                "[general]\nenabled = yes\nchannelvars = ANSWERED_AT\n\n"
                f"[{self._user}]\ntype = user\npassword = {self._password}\npassword_format = plain\n"
            ),
            "prometheus.conf": (
                "[general]\nenabled = yes\nuri = metrics\ncore_metrics_enabled = no\n"
                f"auth_username = {self._user}\nauth_password = {self._password}\n"
            ),
            "musiconhold.conf": f"[default]\nmode = files\ndirectory = {_DEPLOYED / 'moh'}\n",
            "rtp.conf": "[general]\nrtpstart = 8000\nrtpend = 11999\n",
            "pjsip.conf": "\n".join([self._sip(), *map(self._trunk, self._trunks)]),
        }

    def _folders(self) -> str:
        home, data = self._home, self._installation.data
        folders = {
            "astetcdir": home / "etc",
            "astmoddir": self._installation.modules,
            "astvarlibdir": home,
            "astdbdir": home / "db",
            "astkeydir": home,
            "astdatadir": data,
            "astagidir": home / "agi",
            "astspooldir": home / "spool",
            "astrundir": self._sockets,  # its control socket: a short path
            "astlogdir": home / "log",
            "astcachedir": self.cache,
        }
        lines = [f"{name} => {folder}" for name, folder in folders.items()]
        return "\n".join(["[directories]", *lines, "", "[options]", "documentation_language = en_US", ""])

    def _sip(self) -> str:
        return _SIP.format(port=self.sip_port, tls_port=self._tls_port, authorities=self._authorities)

    def _trunk(self, name: str) -> str:
        seconds = 0 if name in self._unwatched else _ASK_CARRIER_SECONDS
        return _TRUNK.format(name=name, carrier=self._trunks[name], ask_seconds=seconds)


_SIP = """\
[global]
type = global
user_agent = MiniVoice

[system]
type = system
timer_t1 = 100
; A far end that never answers is given up after this many milliseconds.
timer_b = 6400

[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{port}

[tcp]
type = transport
protocol = tcp
bind = 127.0.0.1:{port}

[tls]
type = transport
protocol = tls
bind = 127.0.0.1:{tls_port}
method = tlsv1_2
ca_list_file = {authorities}
verify_server = yes
allow_wildcard_certs = yes

[every-trunk](!)
type = endpoint
transport = udp
context = nowhere
disallow = all
allow = ulaw,alaw
direct_media = no
send_connected_line = no
dtmf_mode = auto_info
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
; The test carrier is silent and does not refresh sessions.
timers = no
"""

_TRUNK = """
[{name}](every-trunk)
aors = {name}

[{name}]
type = aor
contact = sip:{carrier}
qualify_frequency = {ask_seconds}
"""
