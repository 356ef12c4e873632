"""A real Asterisk with SIPp around it, as the contract suite wants an engine: started, cut off, stopped."""

import shutil
import signal
import socket
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from minivoice.local import engine, kept, network, sockets
from minivoice.local.network import Network
from minivoice.local.supervisor import Supervisor
from telephony.engines.ari import Ari
from tests.telephony.engines.listening import INFO_TRUNK, TRUNK

INSTALLATION = engine.find()


class RealEngine:
    """Asterisk on free ports, and a carrier for each trunk."""

    def __init__(self) -> None:
        assert INSTALLATION is not None
        self._state = Path(tempfile.mkdtemp(prefix="minivoice-engine-"))
        self._supervisor = Supervisor(logs=self._state / "logs", say=print)
        ports = kept.keep_ports(self._state, network.ports((TRUNK, INFO_TRUNK)))
        self.network = Network(
            installation=INSTALLATION,
            state=self._state,
            ports=ports,
            user="minivoice",
            password="secret",
            trunks=(TRUNK, INFO_TRUNK),
            by_info=(INFO_TRUNK,),
        )
        try:
            self._supervisor.start(*self.network.carriers())
            # Asterisk may take 16 seconds to stop after an id was in use: it is killed here.
            self._supervisor.start(replace(self.network.engine(), stop_signal=signal.SIGKILL))
        except BaseException:
            self.stop()
            raise
        self._cable = Cable(ports["asterisk"])
        self.ari = Ari(f"http://127.0.0.1:{self._cable.port}/ari", "minivoice", "secret")

    def cut_socket(self) -> None:
        """Cut the event socket, as a network does: neither side is asked."""
        self._cable.cut()

    def stop(self) -> None:
        self._supervisor.stop()
        sockets.remove(self._state)
        shutil.rmtree(self._state)


class Cable:
    """A TCP connection's way to `port` that can be cut, event sockets alone."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._events: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        while self._events:
            with suppress(OSError):
                self._events.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            near, _ = self._server.accept()
            far = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if data.startswith(b"GET /ari/events"):
                    self._events += [source, target]
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
