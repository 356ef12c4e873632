"""Production does not start with unsafe settings, whichever process is asked to."""

import http.client
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core import checks as framework
from django.core.exceptions import ImproperlyConfigured

from minivoice import checks
from minivoice.local import kept
from minivoice.local.supervisor import Process, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "hV7wQ2nT9xYb4Rk8Lm3Zp6Sd1Gf5Jc0Ua-EoWiXqBvNtMyPzKr"
FIELD_KEY = Fernet.generate_key().decode()
SAFE = {
    "SECRET_KEY": KEY,
    "FIELD_KEYS": [FIELD_KEY],
    "EMBEDDED": False,
    "DEBUG": False,
    "ALLOWED_HOSTS": ["voice.example.org"],
    "BASE_URL": "https://voice.example.org",
    "OUTBOUND_ALLOWED": [],
    "METRICS_TOKEN": "",
    "REQUIRE_SECOND_FACTOR": True,
    "EMAIL_URL": "",
    "REDIS_URL": "redis://redis:6379/0",
}
UNSAFE: list[tuple[str, Any, str]] = [
    ("DEBUG", True, "debug"),
    ("SECRET_KEY", "change-me", "secret_key"),
    ("SECRET_KEY", KEY[:40], "secret_key"),
    ("SECRET_KEY", "a" * 60, "secret_key"),
    ("SECRET_KEY", f"django-insecure-{KEY}", "secret_key"),
    ("FIELD_KEYS", [], "field_keys"),
    ("FIELD_KEYS", ["change-me"], "field_keys"),
    ("FIELD_KEYS", [FIELD_KEY, "short"], "field_keys"),
    ("FIELD_KEYS", ["A" * 43 + "="], "field_keys"),
    ("ALLOWED_HOSTS", [], "allowed_hosts"),
    ("ALLOWED_HOSTS", ["*"], "allowed_hosts"),
    ("ALLOWED_HOSTS", ["voice.example.org", "*"], "allowed_hosts"),
    ("BASE_URL", "http://voice.example.org", "base_url"),
    ("BASE_URL", "https://", "base_url"),
    ("BASE_URL", "https://elsewhere.example.org", "base_url"),
    ("REDIS_URL", "redis://:change-me@redis:6379/0", "passwords"),
    ("OUTBOUND_ALLOWED", ["10.0.0.5:5060", "127.0.0.1:9000"], "outbound_allowed"),
    ("OUTBOUND_ALLOWED", ["localhost:9000"], "outbound_allowed"),
    ("OUTBOUND_ALLOWED", ["[::1]:9000"], "outbound_allowed"),
    ("METRICS_TOKEN", "short", "metrics_token"),
    ("REQUIRE_SECOND_FACTOR", False, "second_factor"),
    ("METRICS_TOKEN", "change-me-to-something-that-is-long", "metrics_token"),
]


@pytest.fixture
def production(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings that are safe in production."""
    for name, value in SAFE.items():
        setattr(settings, name, value)
    for name, value in {"PASSWORD": "a-long-password", "HOST": "postgres"}.items():
        monkeypatch.setitem(settings.DATABASES["default"], name, value)
    return settings


def found() -> list[str]:
    """Return which checks complain."""
    return [str(error.id).removeprefix("minivoice.") for error in checks.unsafe()]


@pytest.mark.usefixtures("production")
def test_starts_with_safe_settings() -> None:
    assert found() == []
    checks.refuse()


@pytest.mark.parametrize(("name", "value", "complaint"), UNSAFE)
def test_refuses_an_unsafe_setting(production: Any, name: str, value: Any, complaint: str) -> None:
    setattr(production, name, value)

    assert complaint in found()
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        checks.refuse()
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("password", ["", "change-me", "postgres", "minivoice"])
def test_refuses_a_database_without_a_password_of_its_own(
    production: Any, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(production.DATABASES["default"], "PASSWORD", password)
    assert found() == ["passwords"]


def test_a_database_on_a_socket_needs_no_password(production: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(production.DATABASES["default"], "PASSWORD", "")
    monkeypatch.setitem(production.DATABASES["default"], "HOST", "/var/run/postgresql")
    assert found() == []


def test_refuses_to_send_a_mail_password_in_the_clear(production: Any) -> None:
    production.EMAIL_URL, production.EMAIL_HOST_PASSWORD = "smtp://user:pass@mail.example.org", "pass"
    assert found() == ["mail"]
    production.EMAIL_USE_TLS = True
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALLOWED_HOSTS", ["127.0.0.1", "voice.example.org"]), ("BASE_URL", "https://voice.example.org")],
)
def test_refuses_embedded_where_it_is_reached_from_elsewhere(settings: Any, name: str, value: Any) -> None:
    settings.EMBEDDED, settings.ALLOWED_HOSTS = True, ["127.0.0.1", "localhost"]
    settings.BASE_URL = "http://127.0.0.1:8000"
    assert found() == []
    setattr(settings, name, value)
    assert found() == ["embedded"]


def test_every_check_of_production_is_met_by_a_test() -> None:
    tested = {complaint for _, _, complaint in UNSAFE} | {"mail"}
    assert tested == {check.__name__.strip("_") for check in checks._IN_PRODUCTION}


def test_django_runs_the_checks_before_every_command() -> None:
    assert checks.unsafe in framework.registry.registry.get_checks()


# Real processes


def filled_in(**changes: str) -> dict[str, str]:
    """Return an environment of the shape of .env.example, filled in as its words ask."""
    names = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    ours = {name: value for name, value in os.environ.items() if name not in {*names, "EMBEDDED"}}
    return {
        **ours,
        "DJANGO_SETTINGS_MODULE": "minivoice.settings",
        "SECRET_KEY": KEY,
        "FIELD_KEYS": FIELD_KEY,
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "REDIS_URL": os.environ["REDIS_URL"],
        "ALLOWED_HOSTS": "voice.example.org",
        "BASE_URL": "https://voice.example.org",
        "METRICS_TOKEN": KEY,
        **changes,
    }


def run(*argv: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        env=filled_in(**changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_deployment_check_is_clean_with_the_example_filled_in() -> None:
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (2 silenced).\n"), done.stderr


def test_options_of_the_database_url_stand_beside_ours() -> None:
    url = os.environ["DATABASE_URL"]
    asked = """if True:
        import django
        django.setup()
        from django.db import connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('plan_cache_mode'), current_setting('work_mem')")
            print(*cursor.fetchone())
    """
    done = run("-c", asked, DATABASE_URL=f"{url}{'&' if '?' in url else '?'}options=-c%20work_mem%3D7MB")
    assert done.stdout == "force_generic_plan 7MB\n", done.stderr


WEB = ("-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--no-ws", "minivoice.wsgi:application")


@pytest.mark.parametrize(
    "argv",
    [
        ("manage.py", "switchboard"),
        ("manage.py", "migrate"),
        (*WEB, "--port", "1"),
        ("-m", "celery", "-A", "minivoice", "worker", "-Q", "work", "-c", "1"),
        ("-m", "celery", "-A", "minivoice", "beat", "-s", "{folder}/beat", "--pidfile="),
    ],
    ids=["switchboard", "migrate", "web", "worker", "beat"],
)
def test_no_process_starts_with_the_example_as_it_is(argv: tuple[str, ...], tmp_path: Path) -> None:
    words = [word.format(folder=tmp_path) for word in argv]
    done = run(*words, SECRET_KEY="change-me", FIELD_KEYS="change-me")
    assert done.returncode != 0
    assert "SECRET_KEY must be" in done.stderr + done.stdout
    assert "FIELD_KEYS must be" in done.stderr + done.stdout


def test_the_web_starts_in_production_and_sends_people_to_tls(tmp_path: Path) -> None:
    port = kept.free_port()

    def ask(path: str, **headers: str) -> tuple[int, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": "voice.example.org", **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers["Location"] or answer.headers["Strict-Transport-Security"]
        except OSError:
            return 0, None
        finally:
            connection.close()

    supervisor = Supervisor(logs=tmp_path, say=print)
    argv = [sys.executable, *WEB, "--port", str(port)]
    web = Process(name="web", argv=argv, environment=filled_in(), folder=ROOT, ready=lambda: ask("/healthz")[0] == 200)
    try:
        supervisor.start(web)
        assert ask("/v1/openapi.json") == (301, "https://voice.example.org/v1/openapi.json")
        assert ask("/v1/openapi.json", **{"X-Forwarded-Proto": "https"}) == (200, "max-age=31536000")
        assert ask("/metrics", Host="10.0.0.5:8000", Authorization=f"Bearer {KEY}")[0] == 200
    finally:
        supervisor.stop()
