"""SRTP with AES_CM_128_HMAC_SHA1_80 (RFC 3711), its keys told in SDP (RFC 4568)."""

import base64
import hmac
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SUITE = "AES_CM_128_HMAC_SHA1_80"
_KEY_BYTES, _SALT_BYTES, _AUTH_BYTES, _TAG_BYTES, _HEADER_BYTES = 16, 14, 20, 10, 12
_ENCRYPTION, _AUTHENTICATION, _SALTING = 0, 1, 2  # RFC 3711, 4.3.1


class Srtp:
    """One direction's packets, of fewer than 65,536: its rollover counter is always 0."""

    def __init__(self, inline: str = "") -> None:
        """`inline` is key and salt as SDP tells them; without, they are made."""
        master = base64.b64decode(inline) if inline else secrets.token_bytes(_KEY_BYTES + _SALT_BYTES)
        self.inline = base64.b64encode(master).decode()
        self._key = _derived(master, _ENCRYPTION, _KEY_BYTES)
        self._salt = int.from_bytes(_derived(master, _SALTING, _SALT_BYTES))
        self._auth = _derived(master, _AUTHENTICATION, _AUTH_BYTES)

    def seal(self, packet: bytes) -> bytes:
        """Return an RTP packet (without CSRCs or extension) encrypted, and with its tag."""
        sealed = self._crypted(packet)
        return sealed + self._tag(sealed)

    def unseal(self, packet: bytes) -> bytes:
        """Return what was sealed. Raises ValueError when it was not, or not with this key."""
        sealed, tag = packet[:-_TAG_BYTES], packet[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(sealed)):
            raise ValueError("not sealed with this key")
        return self._crypted(sealed)

    def _crypted(self, packet: bytes) -> bytes:
        header, payload = packet[:_HEADER_BYTES], packet[_HEADER_BYTES:]
        number, source = int.from_bytes(header[2:4]), int.from_bytes(header[8:12])
        start = (self._salt << 16) ^ (source << 64) ^ (number << 16)
        return header + _keystream(self._key, start, payload)

    def _tag(self, packet: bytes) -> bytes:
        return hmac.digest(self._auth, packet + bytes(4), "sha1")[:_TAG_BYTES]


def _derived(master: bytes, label: int, length: int) -> bytes:
    key, salt = master[:_KEY_BYTES], int.from_bytes(master[_KEY_BYTES:])
    return _keystream(key, (salt ^ (label << 48)) << 16, bytes(length))


def _keystream(key: bytes, start: int, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16)))
    return cipher.encryptor().update(text)
