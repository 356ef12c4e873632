"""Settings with which production must not start: `manage.py check` tells of them, every process refuses them.

Under `EMBEDDED` (`make run`, the tests) everything is on loopback and nothing of this applies; what would betray that
such a setting was carried to a server is checked instead.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

_LEFT = ("change-me", "changeme", "insecure", "example")
_COMMON_PASSWORDS = {"postgres", "password", "minivoice", "secret", "admin", "redis"}
_KEY_CHARACTERS = 50
_TOKEN_CHARACTERS = 32


class Checks(AppConfig):
    """Where Django learns of the checks: before any command runs."""

    name = "minivoice"

    def ready(self) -> None:
        """Have `manage.py` check the settings before every command that checks anything."""
        register(unsafe, Tags.security)


def unsafe(app_configs: Any = None, **_: Any) -> list[Error]:
    """Return an error for each setting that is not safe where it is used."""
    asked = [_embedded] if settings.EMBEDDED else _IN_PRODUCTION
    return [Error(sentence, id=f"minivoice.{check.__name__.strip('_')}") for check in asked for sentence in check()]


def refuse() -> None:
    """Refuse to start with unsafe settings: raises ImproperlyConfigured with a line for each."""
    if found := unsafe():
        raise ImproperlyConfigured("\n".join(["unsafe settings, not starting:", *(error.msg for error in found)]))


def _debug() -> Iterator[str]:
    if settings.DEBUG:
        yield "DEBUG shows what failed to whoever asks: leave it out"


def _secret_key() -> Iterator[str]:
    if len(settings.SECRET_KEY) < _KEY_CHARACTERS or len(set(settings.SECRET_KEY)) < 5 or _is_left(settings.SECRET_KEY):
        yield f"SECRET_KEY must be {_KEY_CHARACTERS} random characters or more"


def _field_keys() -> Iterator[str]:
    if not settings.FIELD_KEYS or not all(_is_fernet(key) for key in settings.FIELD_KEYS):
        yield "FIELD_KEYS must be Fernet keys of 32 random bytes in base64: docs/operations.md tells how to make one"


def _allowed_hosts() -> Iterator[str]:
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS must name the hosts that people reach this by, and not be *"


def _base_url() -> Iterator[str]:
    url = urlsplit(settings.BASE_URL)
    if url.scheme != "https" or not url.hostname:
        yield "BASE_URL must begin with https://"
    elif not validate_host(url.hostname, settings.ALLOWED_HOSTS):
        yield "BASE_URL must be at one of ALLOWED_HOSTS"


def _passwords() -> Iterator[str]:
    database = settings.DATABASES["default"]
    for name, password, is_local in (
        ("DATABASE_URL", database["PASSWORD"], database["HOST"].startswith("/") or not database["HOST"]),  # a socket
        ("REDIS_URL", urlsplit(settings.REDIS_URL).password or "", True),
    ):
        if password in _COMMON_PASSWORDS or _is_left(password) or not (password or is_local):
            yield f"{name} must have a password of its own"


def _outbound_allowed() -> Iterator[str]:
    if inside := [pair for pair in settings.OUTBOUND_ALLOWED if _is_loopback(pair.rpartition(":")[0])]:
        yield f"OUTBOUND_ALLOWED would let customers reach this very machine: {', '.join(inside)}"


def _metrics_token() -> Iterator[str]:
    token = settings.METRICS_TOKEN
    if token and (len(token) < _TOKEN_CHARACTERS or _is_left(token)):
        yield f"METRICS_TOKEN must be {_TOKEN_CHARACTERS} random characters or more, or empty for no figures"


def _second_factor() -> Iterator[str]:
    if not settings.REQUIRE_SECOND_FACTOR:
        yield "REQUIRE_SECOND_FACTOR would let staff in with a password alone: leave it out"


def _mail() -> Iterator[str]:
    is_plain = not (getattr(settings, "EMAIL_USE_TLS", False) or getattr(settings, "EMAIL_USE_SSL", False))
    if settings.EMAIL_URL and settings.EMAIL_HOST_PASSWORD and is_plain:
        yield "EMAIL_URL would send its password in the clear: use smtp+tls:// or smtp+ssl://"


def _embedded() -> Iterator[str]:
    hosts = [host for host in settings.ALLOWED_HOSTS if host != "testserver"]  # Django's own, in tests
    if not all(_is_loopback(host) for host in [*hosts, urlsplit(settings.BASE_URL).hostname or ""]):
        yield "EMBEDDED is for `make run` on loopback: leave it out where ALLOWED_HOSTS or BASE_URL name another host"


_IN_PRODUCTION: list[Callable[[], Iterator[str]]] = [
    _debug,
    _secret_key,
    _field_keys,
    _allowed_hosts,
    _base_url,
    _passwords,
    _outbound_allowed,
    _metrics_token,
    _second_factor,
    _mail,
]


def _is_left(secret: str) -> bool:
    return any(word in secret.lower() for word in _LEFT)


def _is_fernet(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return len(set(key)) >= 10  # of zeros or of one letter is no secret


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
