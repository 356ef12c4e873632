"""The way to an engine: a TCP relay that can be held and cut, as networks are."""

import socket
import threading
from contextlib import suppress


class Cable:
    """A way to `port` of this machine, at a port of its own. Only event sockets are held and cut."""

    def __init__(self, port: int) -> None:
        self.connections = 0  # made so far, of any kind
        self.held: list[tuple[socket.socket, bytes]] = []  # what the engine has not been given yet
        self._to = port
        self._holding = False
        self._lock = threading.Lock()
        self._sockets: list[tuple[socket.socket, socket.socket]] = []  # to the listener, to the engine
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/ari"
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Keep what is sent to the engine over event sockets from now on."""
        with self._lock:
            self._holding = True

    def release(self) -> None:
        """Hand over what was held."""
        with self._lock:
            self._holding = False
            for target, data in self.held:
                target.sendall(data)
            self.held.clear()

    def cut(self) -> None:
        """Cut the event sockets: neither side is asked, and what is held is lost."""
        with self._lock:
            self._holding = False
            self.held.clear()
            for end in (end for pair in self._sockets for end in pair):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()

    def close(self) -> None:
        """Take no more connections; those there are last as long as their ends."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the engine is not there
                near.close()
                continue
            for end in (near, far):  # else small frames wait 40 ms for one another
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._pass_on(source, target, data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, source: socket.socket, target: socket.socket, data: bytes) -> None:
        with self._lock:
            if data.startswith(b"GET /ari/events"):
                self._sockets.append((source, target))
            if self._holding and any(target is to_engine for _, to_engine in self._sockets):
                self.held.append((target, data))
                return
        target.sendall(data)
