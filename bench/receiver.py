"""`python -m bench.receiver PORT`: customers' web server, as cheap as one can be: it reads a request and says 204.

A path `/200` answers after 200 milliseconds. `GET /` tells, and forgets, how many came and how many at most were
being answered at one time.
"""

import asyncio
import json
import sys

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_LENGTH = b"Content-Length: "


class _Counts:
    """What all connections have seen together."""

    def __init__(self) -> None:
        self.came = self.now = self.most_at_once = 0


class _Connection(asyncio.Protocol):
    def __init__(self, counts: _Counts) -> None:
        self._counts = counts
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what a server of TCP is given
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head = self._read.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._read.find(_LENGTH, 0, head)
        length = int(self._read[at + len(_LENGTH) : self._read.find(b"\r\n", at)]) if at >= 0 else 0
        if len(self._read) < head + 4 + length:
            return
        verb, path, _ = self._read[: self._read.find(b"\r\n")].split(b" ")
        self._read.clear()  # nobody here sends a request before the last is answered
        if verb == b"GET":
            self._tell()
        else:
            self._take(delay_seconds=int(path.rpartition(b"/")[2] or 0) / 1000)

    def _take(self, *, delay_seconds: float) -> None:
        counts = self._counts
        counts.came += 1
        counts.now += 1
        counts.most_at_once = max(counts.most_at_once, counts.now)
        if delay_seconds:
            asyncio.get_running_loop().call_later(delay_seconds, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._counts.now -= 1
        self._transport.write(_ANSWER)

    def _tell(self) -> None:
        counts = self._counts
        body = json.dumps({"came": counts.came, "most_at_once": counts.most_at_once}).encode()
        counts.came = counts.most_at_once = 0
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def _serve(port: int) -> None:
    counts = _Counts()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(counts), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
