"""A real browser before a whole platform, and staff of each role who sit at it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from minivoice.local.stack import Platform
from tests.journeys.receiver import Receiver
from tests.journeys.stage import running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PASSWORD = "a long enough password"
PATIENCE_MS = 20_000
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if CHROMIUM is None:
        for item in items:
            if "tests/browser/" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="no Chromium here: run 'make browser' as root"))


@dataclass
class Desk:
    """Where staff sit: pages of the platform in a browser. What a page complains of is kept in `complaints`."""

    browser: Browser
    base_url: str
    complaints: list[str] = field(default_factory=list)

    def seat(self, role: str, *, size: dict[str, Any] = DESK, scheme: str = "light") -> Page:
        """Return a page on which a new member of staff of a role is signed in."""
        user = hire_staff(role)
        session = SessionStore()
        session.update(
            {
                SESSION_KEY: str(user.pk),
                BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[-1],
                HASH_SESSION_KEY: user.get_session_auth_hash(),
            }
        )
        session.save()
        page = self.page(size=size, scheme=scheme)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": self.base_url}
        page.context.add_cookies([cookie])
        return page

    def page(self, *, size: dict[str, Any] = DESK, scheme: Any = "light") -> Page:
        """Return an empty page of a browser that nobody is signed in with."""
        context = self.browser.new_context(
            base_url=self.base_url, viewport=size, color_scheme=scheme, timezone_id="America/New_York"
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._hear(page, message))
        return page

    def _hear(self, page: Page, message: ConsoleMessage) -> None:
        is_refusal = "the server responded with a status of 4" in message.text  # which a test asks for
        if message.type == "error" and not is_refusal:
            self.complaints.append(f"{page.url}: {message.text}")


def hire_staff(role: str) -> User:
    """Make a member of staff of a role, with a password."""
    user = User.objects.create_user(f"{role}-{uuid4().hex[:6]}", password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Platform]:
    """A platform of these tests' own: its first page tells of no calls that journeys have made."""
    with running(tmp_path_factory.mktemp("state"), receiver, database="browser") as platform:
        yield platform


@pytest.fixture(scope="session")
def platform_database() -> str:
    return "browser"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium without a window. Its driver runs a loop in this thread, which asks no rows, until the file is over."""
    expect.set_options(timeout=PATIENCE_MS)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def desk(chromium: Browser, platform: Platform, hire: Callable[..., Any]) -> Iterator[Desk]:
    """Where staff sit; no page may complain, of its policy neither."""
    desk = Desk(chromium, f"http://127.0.0.1:{platform.port}")
    yield desk
    for context in chromium.contexts:
        context.close()
    assert desk.complaints == []
