"""A carrier over TLS whose sound is SRTP: it rings, answers, hums, and keeps what it hears."""

import re
import socket
import ssl
import threading
from array import array
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.telephony.engines.phone import Sound
from tests.telephony.engines.sip import Reply, Request
from tests.telephony.engines.srtp import SUITE, Srtp


class SecureCarrier:
    """Listens for TLS with the certificate and key in the file `certificate`, from `with` on.

    It hums at `hertz`. One that has no keys answers every offer with sound in the clear.
    """

    host = "127.0.0.1"

    def __init__(self, *, certificate: Path, hertz: int, has_keys: bool = True) -> None:
        self.invited: list[Request] = []
        self.asked: list[Request] = []  # all of them, OPTIONS too
        self._has_keys = has_keys
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._door = socket.create_server((self.host, 0))
        self.port: int = self._door.getsockname()[1]
        self._uri = f"sip:carrier@{self.host}:{self.port};transport=tls"
        self._sound = Sound(host=self.host, hertz=hertz)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._sound.close()

    def heard(self) -> "array[int]":
        """Return what was heard since the last time: samples of 16 bit, 8,000 a second."""
        return self._sound.heard()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._door.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, plain: socket.socket) -> None:
        """Answer what comes over one connection, which the engine keeps."""
        try:
            connection = self._context.wrap_socket(plain, server_side=True)
        except OSError:  # the engine does not like the certificate
            return
        buffer = ""
        with suppress(OSError):
            while chunk := connection.recv(65536):
                buffer += chunk.decode()
                while message := _whole(buffer):
                    buffer = buffer[len(message) :]
                    if not message.startswith("SIP/2.0 ") and message.strip():
                        self._take(Request(message.lstrip()), connection.sendall)

    def _take(self, request: Request, reply: Reply) -> None:
        self.asked.append(request)
        if request.method == "INVITE":
            self.invited.append(request)
            contact = f"Contact: <{self._uri}>"
            reply(request.answer("180 Ringing", contact))
            reply(request.answer("200 OK", contact, body=self._agree(request.body)))
            self._sound.meet(request.body)
        elif request.method != "ACK":
            reply(request.answer("200 OK"))

    def _agree(self, offer: str) -> str:
        """Return the answer to an offer: with keys of our own if it has some, and we do."""
        offered = re.search(rf"^a=crypto:([0-9]+) {SUITE} inline:([A-Za-z0-9+/=]+)", offer, re.MULTILINE)
        if offered is None or not self._has_keys:
            return self._sound.sdp
        theirs, ours = Srtp(offered[2]), Srtp()
        self._sound.unseal, self._sound.seal = theirs.unseal, ours.seal
        keys = f"a=crypto:{offered[1]} {SUITE} inline:{ours.inline}\r\n"
        return self._sound.sdp.replace("RTP/AVP", "RTP/SAVP") + keys


def _whole(buffer: str) -> str:
    """Return the first message of a stream, nothing while it has not come whole; a keep-alive is blank lines."""
    head, end, rest = buffer.partition("\r\n\r\n")
    if not end:
        return ""
    length = re.search(r"^(?:Content-Length|l): *([0-9]+)", head, re.MULTILINE | re.IGNORECASE)
    wanted = int(length[1]) if length else 0
    return head + end + rest[:wanted] if len(rest) >= wanted else ""
