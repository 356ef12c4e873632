"""An answer URL that fails: the fallback URL is asked within what is left of the budget, then the call ends."""

import pytest
from django.db.models import Value

from applications.models import Application
from calls.flow.fetching import Fetched
from calls.models import Party, Reason
from tests.calls.staging import Stage, stage

__all__ = ["stage"]  # a fixture

pytestmark = pytest.mark.django_db

FALLBACK = "https://example.test/fallback"


@pytest.fixture
def with_fallback(stage: Stage) -> Stage:
    application = stage.call.application
    application.fallback_url = FALLBACK
    application.save()
    stage.runner = stage.take_over()
    return stage


def fail(stage: Stage, *, after_ms: int = 4000) -> None:
    stage.runner.fetched(stage.line.asked, Fetched(None, "connect_timeout", None, after_ms), now=stage.now)


def test_the_fallback_instructs_the_call_within_the_rest_of_the_budget(with_fallback: Stage) -> None:
    stage = with_fallback
    stage.runner.start(now=stage.now)

    fail(stage, after_ms=4000)
    request = stage.line.fetched[-1]
    assert (request.url, request.method, request.context["reason"]) == (FALLBACK, "POST", "fallback")
    assert request.budget_seconds == pytest.approx(6)

    stage.bring({"say": {"text": "Sorry"}})
    assert stage.line.said == ["Sorry"]
    failed = stage.call.timeline.get(kind="answer_url_failed")
    assert (failed.data["url"], failed.data["why"]) == ("https://example.test/answer", "connect_timeout")
    assert stage.call.timeline.get(kind="answer_url_answered").data["url"] == FALLBACK


def test_a_fallback_that_fails_too_ends_the_call(with_fallback: Stage) -> None:
    stage = with_fallback
    stage.runner.start(now=stage.now)

    fail(stage)
    fail(stage)

    assert len(stage.line.fetched) == 2
    assert stage.line.ended == [(Reason.ANSWER_URL_FAILED, Party.SYSTEM)]
    assert stage.timeline().count("answer_url_failed") == 2


def test_a_request_that_cannot_be_signed_ends_the_call(with_fallback: Stage) -> None:
    """Once it was up, and silent, until its money was spent."""
    stage = with_fallback
    Application.objects.update(webhook_secret=Value("of a key that is gone"))
    stage.runner = stage.take_over()

    stage.runner.start(now=stage.now)

    assert stage.line.fetched == []
    assert stage.line.ended == [(Reason.ANSWER_URL_FAILED, Party.SYSTEM)]
    assert stage.call.timeline.get(kind="answer_url_failed").data["why"] == "secret_unreadable"


def test_a_redirect_that_fails_falls_back_again(with_fallback: Stage) -> None:
    stage = with_fallback
    stage.runner.start(now=stage.now)
    fail(stage)
    stage.bring({"redirect": {"url": "https://example.test/next"}})

    fail(stage)

    assert [request.url for request in stage.line.fetched[1:]] == [FALLBACK, "https://example.test/next", FALLBACK]
    assert stage.line.ended == []


def test_no_budget_is_left_for_a_fallback(with_fallback: Stage) -> None:
    stage = with_fallback
    stage.runner.start(now=stage.now)

    fail(stage, after_ms=10_000)

    assert stage.line.ended == [(Reason.ANSWER_URL_FAILED, Party.SYSTEM)]
    assert len(stage.line.fetched) == 1


def test_secret_digits_are_told_to_the_fallback_and_to_nobody_after_it(with_fallback: Stage) -> None:
    stage = with_fallback
    stage.begin(
        {"gather": {"num_digits": 4, "sensitive": True}},
        {"redirect": {"url": "https://example.test/pin", "method": "POST"}},
    )
    stage.press("7357")
    fail(stage)
    stage.bring({"redirect": {"url": "https://example.test/next", "method": "POST"}})

    told = [request.context.get("digits") for request in stage.line.fetched]
    assert told == [None, "7357", "7357", None]


def test_another_process_asks_the_fallback_again(with_fallback: Stage) -> None:
    stage = with_fallback
    stage.runner.start(now=stage.now)
    fail(stage)

    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)

    assert [request.url for request in stage.line.fetched[1:]] == [FALLBACK, FALLBACK]
