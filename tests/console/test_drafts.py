"""A draft of rates is edited by one while another publishes it: what is published is what was saved before."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.http import HttpResponse
from django.test import Client

from billing import versions
from billing.models import DeckVersion, Rate
from minivoice import clock
from tests.console.conftest import Cast
from tests.console.pages import address

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def beside() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function on a thread and a database connection of its own."""

    def run(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield lambda *work: pool.submit(run, *work)


@contextmanager
def until_somebody_waits() -> Iterator[None]:
    """Keep a transaction open until another waits for a lock of it; then commit."""
    with transaction.atomic():
        yield
        deadline = time.monotonic() + 20
        with connection.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction, what is seen once stays
                cursor.execute(  # in this database: others of the server may have a platform at work
                    "SELECT EXISTS (SELECT FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock')"
                )
                if cursor.fetchone()[0]:
                    return
                time.sleep(0.01)
        raise AssertionError("nobody came to wait")


def changed(cast: Cast) -> tuple[str, dict[str, str]]:
    rate = cast.draft.rates.get()
    return address(Rate, "change", rate.pk), rate_form(cast.draft, prefix="1555", price_per_minute="9")


def added(cast: Cast) -> tuple[str, dict[str, str]]:
    return address(Rate, "add"), rate_form(cast.draft, prefix="44", price_per_minute="9")


def deleted(cast: Cast) -> tuple[str, dict[str, str]]:
    return address(Rate, "delete", cast.draft.rates.get().pk), {"post": "yes"}


def dated(cast: Cast) -> tuple[str, dict[str, str]]:
    form = {"effective_from_0": "2031-01-01", "effective_from_1": "0:00", "reason": "later"}
    return address(DeckVersion, "change", cast.draft.pk), form


def rate_form(version: DeckVersion, **figures: str) -> dict[str, str]:
    increments = {"initial_increment": "1", "subsequent_increment": "1"}
    return (
        {"version": str(version.pk), "connection_fee": "0", "minimum_charge": "0", "reason": "a slip"}
        | increments
        | figures
    )


@pytest.mark.parametrize("edit", [changed, added, deleted, dated])
def test_what_comes_while_its_version_is_published_is_refused(
    root: Client, cast: Cast, beside: Callable[..., Future[HttpResponse]], edit: Callable[[Cast], Any]
) -> None:
    url, form = edit(cast)
    before = list(Rate.objects.order_by("pk").values())
    with until_somebody_waits():
        assert versions.publish(cast.draft, now=clock.now())
        answer = beside(root.post, url, form)
    assert answer.result(20).status_code == 302

    assert "the version was published, or undone, meanwhile" in root.get(answer.result().url).content.decode()
    assert list(Rate.objects.order_by("pk").values()) == before
    version = DeckVersion.objects.get(pk=cast.draft.pk)
    assert (version.state, version.effective_from) == ("live", cast.draft.effective_from)


def test_who_publishes_waits_for_a_rate_that_is_being_saved(cast: Cast, beside: Callable[..., Future[bool]]) -> None:
    with until_somebody_waits():
        versions.edit(cast.draft.pk, now=clock.now())
        cast.draft.rates.update(price_per_minute=9)
        published = beside(lambda: versions.publish(cast.draft, now=clock.now()))
    assert published.result(20)
    assert cast.draft.rates.get().price_per_minute == 9
    with pytest.raises(versions.NotPossible, match="published"):
        versions.edit(cast.draft.pk, now=clock.now())


def test_a_draft_gets_another_date_and_its_preview_is_of_before(root: Client, cast: Cast) -> None:
    url, form = dated(cast)
    assert root.post(url, form).status_code == 302
    version = DeckVersion.objects.get(pk=cast.draft.pk)
    assert (version.state, version.effective_from.year) == ("draft", 2031)
    assert version.edited_at is not None
    assert clock.now() - version.edited_at < timedelta(minutes=1)
