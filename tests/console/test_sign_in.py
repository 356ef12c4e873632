"""Staff sign in with a password and a second factor, and are locked out after wrong ones."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db.models import F
from django.http import HttpRequest
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import DjangoAssertNumQueries, Settings

from minivoice import clock, sign_in

pytestmark = pytest.mark.django_db
HOME, ASKED = "/admin/", "/admin/second-factor/"
RIGHT = "a long password"


@pytest.fixture
def amy(settings: Settings) -> User:
    """One of the staff, where a second factor is required."""
    settings.REQUIRE_SECOND_FACTOR = True
    return User.objects.create_superuser("amy", password=RIGHT)


def with_password(browser: Client, password: str = RIGHT, **headers: str) -> int:
    """Enter a password; return the status of the answer."""
    form = {"username": "amy", "password": password, "next": HOME}
    return browser.post("/admin/login/", form, headers=headers).status_code


def code(user: User) -> str:
    """What the user's app shows now."""
    return f"{totp(TOTPDevice.objects.get(user=user).bin_key):06}"


def first_code(browser: Client) -> str:
    """What the app shows that has just scanned what this browser was shown."""
    return f"{totp(bytes.fromhex(browser.session['totp_key'])):06}"


def test_who_has_no_second_factor_sets_one_up_before_anything_is_shown(client: Client, amy: User) -> None:
    assert with_password(client) == 302
    for url in (HOME, "/admin/calls/call/", "/admin/no-such-page"):
        assert client.get(url).url == f"{ASKED}?next={url}"

    page = client.get(ASKED).content.decode()
    assert "data:image/svg+xml" in page
    assert client.post(f"{ASKED}?next=/admin/calls/call/", {"code": first_code(client)}).url == "/admin/calls/call/"
    assert client.get(HOME).status_code == 200


def test_who_only_knows_the_password_never_sees_the_key_that_its_owner_sets_up(client: Client, amy: User) -> None:
    thief = Client()
    for browser in (thief, client):
        with_password(browser)
        browser.get(ASKED)
    stolen = first_code(thief)
    assert stolen != first_code(client)

    assert client.post(ASKED, {"code": first_code(client)}).url == HOME
    assert b"not right" in thief.post(ASKED, {"code": stolen}).content
    assert thief.get(HOME).status_code == 302
    assert TOTPDevice.objects.count() == 1
    assert "totp_key" not in client.session


def test_of_two_sessions_that_set_one_up_at_one_moment_the_first_wins(
    client: Client, amy: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Client()
    for browser in (other, client):
        with_password(browser)
        browser.get(ASKED)
    late, confirm = first_code(other), sign_in._confirmed

    def after_the_first(request: HttpRequest, form: sign_in.CodeForm) -> TOTPDevice | None:
        monkeypatch.setattr(sign_in, "_confirmed", confirm)  # the late one has seen that there is none yet
        assert client.post(ASKED, {"code": first_code(client)}).url == HOME
        return confirm(request, form)

    monkeypatch.setattr(sign_in, "_confirmed", after_the_first)
    assert b"Another second factor was set up meanwhile" in other.post(ASKED, {"code": late}).content
    assert other.get(HOME).status_code == 302
    assert client.get(HOME).status_code == 200
    assert TOTPDevice.objects.count() == 1
    assert b"data:image/svg+xml" not in other.get(ASKED).content


def test_a_wrong_first_code_sets_nothing_up(client: Client, amy: User) -> None:
    with_password(client)
    client.get(ASKED)
    wrong = f"{(int(first_code(client)) + 1) % 1_000_000:06}"

    assert b"not right" in client.post(ASKED, {"code": wrong}).content
    assert not TOTPDevice.objects.exists()


def test_the_password_alone_opens_nothing_and_the_key_is_shown_once(client: Client, amy: User) -> None:
    TOTPDevice.objects.create(user=amy, confirmed=True)
    assert with_password(client) == 302

    assert client.get(HOME).status_code == 302
    page = client.get(ASKED).content.decode()
    assert "data:image/svg+xml" not in page
    assert "totp-key" not in page
    client.post(ASKED, {"code": code(amy)})
    assert client.get(HOME).status_code == 200


def test_a_code_is_taken_once(client: Client, amy: User) -> None:
    TOTPDevice.objects.create(user=amy, confirmed=True)
    with_password(client)
    used = code(amy)
    client.post(ASKED, {"code": used})

    other = Client()
    with_password(other)
    assert b"used before" in other.post(ASKED, {"code": used}).content
    assert other.get(HOME).status_code == 302


def test_after_a_wrong_code_the_right_one_waits(client: Client, amy: User) -> None:
    TOTPDevice.objects.create(user=amy, confirmed=True)
    with_password(client)
    wrong = f"{(int(code(amy)) + 1) % 1_000_000:06}"

    assert b"not right" in client.post(ASKED, {"code": wrong}).content
    just_now = F("throttling_failure_timestamp") + timedelta(minutes=1)  # however long it takes to enter the next
    TOTPDevice.objects.update(throttling_failure_timestamp=just_now)
    assert b"Too many wrong codes" in client.post(ASKED, {"code": code(amy)}).content
    assert client.get(HOME).status_code == 302


@pytest.mark.parametrize("entered", ["", "12345", "1234567", "12345x", "１２３４５６"])
def test_what_is_no_code_is_no_try(client: Client, amy: User, entered: str) -> None:
    device = TOTPDevice.objects.create(user=amy, confirmed=True)
    with_password(client)

    assert client.post(ASKED, {"code": entered}).status_code == 200
    device.refresh_from_db()
    assert device.throttling_failure_count == 0


def test_leads_nowhere_else_after_it(client: Client, amy: User) -> None:
    with_password(client)
    client.get(ASKED)

    assert client.post(f"{ASKED}?next=https://evil.example/", {"code": first_code(client)}).url == HOME


def test_one_that_is_reset_is_set_up_again(client: Client, amy: User) -> None:
    TOTPDevice.objects.create(user=amy, confirmed=True)
    assert sign_in.reset(amy)
    assert not sign_in.reset(amy)

    with_password(client)
    assert b"data:image/svg+xml" in client.get(ASKED).content


def test_who_is_no_staff_is_asked_for_no_code(client: Client, amy: User) -> None:
    assert client.get(ASKED).url == f"/admin/login/?next={ASKED}"
    assert not TOTPDevice.objects.exists()


def test_the_embedded_default_asks_for_no_second_factor(client: Client) -> None:
    User.objects.create_superuser("amy", password=RIGHT)
    with_password(client)
    assert client.get(HOME).status_code == 200


def test_five_wrong_passwords_lock_a_name_from_that_address(client: Client, amy: User) -> None:
    assert [with_password(client, "wrong") for _ in range(5)] == [200, 200, 200, 200, 429]

    assert with_password(client) == 429
    assert b"15 minutes" in client.post("/admin/login/", {"username": "amy", "password": RIGHT}).content
    client.defaults["REMOTE_ADDR"] = "203.0.113.9"
    assert with_password(client) == 302


def test_behind_a_proxy_the_address_is_what_it_wrote_last(client: Client, amy: User, settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for number in range(5):  # what comes with the request is whatever a stranger likes
        with_password(client, "wrong", x_forwarded_for=f"198.51.100.{number}, 203.0.113.1")

    assert with_password(client, x_forwarded_for="203.0.113.1") == 429
    assert with_password(client, x_forwarded_for="203.0.113.2") == 302


def test_pages_may_load_and_run_nothing_but_our_own_files(client: Client, amy: User) -> None:
    policy = client.get("/admin/login/")["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    assert rules["default-src"] == "'self'"
    assert "'unsafe-inline'" not in rules["script-src"]
    assert {rules[name] for name in ("object-src", "base-uri", "frame-ancestors")} == {"'none'"}


def test_a_second_factor_costs_one_query_a_page(
    client: Client, amy: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    TOTPDevice.objects.create(user=amy, confirmed=True)
    with_password(client)
    client.post(ASKED, {"code": code(amy)})
    client.get(ASKED)
    with django_assert_max_num_queries(5):
        client.get(ASKED)


def test_failures_are_forgotten_after_90_days(db: None) -> None:
    now = clock.now()
    for days in (91, 89):
        AccessAttempt.objects.create(username=f"ada {days}", failures_since_start=1)
        AccessAttempt.objects.filter(username=f"ada {days}").update(attempt_time=now - timedelta(days=days))

    assert sign_in.forget_failures(now=now) == 1
    assert AccessAttempt.objects.get().username == "ada 89"
