"""A service like S3, of one bucket, on loopback: what django-storages asks of it, and no more."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "recordings"


class Bucket(ThreadingHTTPServer):
    """The service; `objects` is what it keeps, `signed_by` whose requests came, `fetched` how much they had."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.signed_by: set[str] = set()
        self.fetched: list[int] = []  # bytes, by each GET of an object
        self.trouble = ""  # `silent`, or the code of an error that everything is answered with
        self.is_over = Event()  # what keeps silent does so until then
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[Bucket]:
    """Serve a bucket."""
    bucket = Bucket()
    thread = Thread(target=bucket.serve_forever, daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        bucket.shutdown()
        bucket.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            body = _unchunked(body)
        self.server.objects[self._key()] = body
        self._answer(200)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "prefix" in query:
            self._answer(200, self._listing(query["prefix"][0]))
        else:
            self._found()

    def do_HEAD(self) -> None:
        self._found()

    def do_DELETE(self) -> None:
        self.server.objects.pop(self._key(), None)
        self._answer(204)

    def log_message(self, *_: object) -> None:
        pass

    def parse_request(self) -> bool:
        """Read a request; in trouble nothing else is done with it."""
        is_read = super().parse_request()
        self.server.asked += 1
        trouble = self.server.trouble
        if is_read and trouble:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.close_connection = True
            if trouble == "silent":
                self.server.is_over.wait(20)
            else:
                self._answer(503 if trouble == "SlowDown" else 403, f"<Error><Code>{trouble}</Code></Error>".encode())
            return False
        return is_read

    def _key(self) -> str:
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        self.server.signed_by.add(signed[1] if signed else "nobody")
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

    def _found(self) -> None:
        body = self.server.objects.get(self._key())
        if body is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        if wanted := re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", self.headers.get("Range", "")):
            body = body[int(wanted[1]) : int(wanted[2]) + 1]
        if self.command == "GET":
            self.server.fetched.append(len(body))
        self._answer(206 if wanted else 200, body)

    def _listing(self, prefix: str) -> bytes:
        keys = [key for key in sorted(self.server.objects) if key.startswith(prefix)]
        contents = "".join(f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>" for key in keys)
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ).encode()

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Fri, 29 May 2026 12:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _unchunked(body: bytes) -> bytes:
    """The content of a body in `aws-chunked` encoding: sizes in hexadecimal, then trailers."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.partition(b";")[0], 16)
        if not count:
            break
        content, body = content + body[:count], body[count + 2 :]
    return content
