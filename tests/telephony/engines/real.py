"""A real Asterisk with SIPp around it, as the contract suite wants an engine: started, cut off, stopped."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from minivoice.local import engine, kept, network, sockets
from minivoice.local.network import Network
from minivoice.local.supervisor import Supervisor
from telephony.engines.ari import Ari
from tests.telephony.engines.cable import Cable
from tests.telephony.engines.certificates import Authority
from tests.telephony.engines.humming import HummingPhone
from tests.telephony.engines.listening import INFO_TRUNK, TRUNK, until

INSTALLATION = engine.find()


class RealEngine:
    """Asterisk on free ports, and a carrier for each trunk."""

    def __init__(self) -> None:
        assert INSTALLATION is not None
        self._state = Path(tempfile.mkdtemp(prefix="minivoice-engine-"))
        self._supervisor = Supervisor(logs=self._state / "logs", say=print)
        self.authority = Authority(self._state / "authority")
        ports = kept.keep_ports(self._state, network.ports((TRUNK, INFO_TRUNK)))
        self.network = Network(
            installation=INSTALLATION,
            state=self._state,
            ports=ports,
            user="minivoice",
            password="secret",
            trunks=(TRUNK, INFO_TRUNK),
            by_info=(INFO_TRUNK,),
            authorities=self.authority.certificate,
        )
        try:
            self._supervisor.start(*self.network.carriers())
            # Asterisk may take 16 seconds to stop after an id was in use: it is killed here.
            self._supervisor.start(replace(self.network.engine(), stop_signal=signal.SIGKILL))
        except BaseException:
            self.stop()
            raise
        self.port = ports["asterisk"]
        self._cable = Cable(self.port)
        self.url = self._cable.url
        self.ari = Ari(self.url, "minivoice", "secret")

    def cut_socket(self) -> None:
        """Cut the event socket, as a network does: neither side is asked."""
        self._cable.cut()

    def restart(self) -> None:
        """Die with every call, and be back: the supervisor starts what has died."""
        died = self._supervisor.kill("asterisk")
        until(lambda: self._supervisor.pids["asterisk"] != died and self.network.asterisk.is_ready(), seconds=20)

    @contextmanager
    def humming(self) -> Iterator[str]:
        """Somebody who can be dialled, and hums."""
        with HummingPhone() as phone:
            yield f"PJSIP/{TRUNK}/{phone.uri}"

    def stop(self) -> None:
        self._supervisor.stop()
        sockets.remove(self._state)
        shutil.rmtree(self._state)
