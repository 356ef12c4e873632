"""A carrier that wants to be registered with, by digest, and remembers to which contact it is to send its calls."""

import hashlib
import re
import secrets

from tests.telephony.engines.sip import FarEnd, Reply, Request


class Registrar(FarEnd):
    """Takes the registrations of those whose password it knows (RFC 2617, without `qop`), and answers OPTIONS."""

    def __init__(self, *, host: str, passwords: dict[str, str], port: int = 0) -> None:
        super().__init__(host=host, port=port)
        self.contacts: dict[str, str] = {}  # by user: the address it is to be called at
        self._passwords = passwords
        self._nonce = secrets.token_hex(16)

    def take(self, request: Request, reply: Reply) -> None:
        """Take a registration, or answer that it is there."""
        if request.method == "OPTIONS":
            reply(request.answer("200 OK"))
        elif request.method == "REGISTER":
            reply(self._register(request))

    def _register(self, request: Request) -> bytes:
        given = dict(re.findall(r'(\w+)="?([^",]*)', request.header("Authorization")))
        if not given:
            challenge = f'WWW-Authenticate: Digest realm="carrier", nonce="{self._nonce}", algorithm=MD5'
            return request.answer("401 Unauthorized", challenge)
        user = given["username"]
        who = _md5(f"{user}:carrier:{self._passwords.get(user, secrets.token_hex())}")
        what = _md5(f"REGISTER:{given['uri']}")
        if given["response"] != _md5(f"{who}:{self._nonce}:{what}"):
            return request.answer("403 Forbidden")
        contact = request.header("Contact")
        found = re.search(r"<(sips?:[^>]+)>", contact)
        if found:
            self.contacts[user] = found[1]
        return request.answer("200 OK", f"Contact: {contact}", "Expires: 300")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
