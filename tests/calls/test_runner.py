"""The run of a call's instructions, told what happens and watched at its line."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from applications import secret
from calls.flow import document, store
from calls.flow.fetching import Fetched
from calls.models import Flow, Party, Reason
from telephony.engines.facts import Kind
from tests.calls.staging import Stage, stage
from tests.calls.steps import end
from webhooks.models import WebhookEvent

__all__ = ["stage"]  # a fixture

pytestmark = pytest.mark.django_db


def test_asks_the_answer_url_with_the_calls_context(stage: Stage) -> None:
    stage.runner.start(now=stage.now)

    (request,) = stage.line.fetched
    assert (request.url, request.method) == ("https://example.test/answer", "POST")
    assert request.context == {
        "call_id": stage.call.public_id,
        "customer_id": stage.call.customer.public_id,
        "application_id": stage.call.application.public_id,
        "direction": "outbound",
        "from": "+15551230001",
        "to": "+15551230002",
        "status": "in_progress",
        "reason": "answer",
        "metadata": {},
        "variables": {},
    }


def test_a_secret_that_is_replaced_during_the_call_signs_the_next_request(stage: Stage) -> None:
    secret.replace(stage.call.application, secret="the first secret", now=stage.now)
    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)
    secret.replace(stage.call.application, secret="the second secret", now=stage.now)
    stage.bring({"redirect": {"url": "https://example.test/next"}})
    stage.now += timedelta(hours=24)
    stage.bring({"redirect": {"url": "https://example.test/tomorrow"}})

    assert [(request.secret, request.previous_secret) for request in stage.line.fetched] == [
        ("the first secret", ""),
        ("the second secret", "the first secret"),
        ("the second secret", ""),
    ]
    assert "secret" not in repr(stage.line.fetched)


def test_speaks_one_thing_after_the_other_then_hangs_up(stage: Stage) -> None:
    stage.begin({"say": {"text": "One"}}, {"say": {"text": "Two"}})
    assert stage.line.said == ["One"]

    stage.played()
    assert (stage.line.said, stage.line.ended) == (["One", "Two"], [])

    stage.played()
    assert stage.line.ended == [(Reason.HANGUP, Party.SYSTEM)]


def test_an_empty_document_hangs_up(stage: Stage) -> None:
    stage.begin()

    assert stage.line.ended == [(Reason.HANGUP, Party.SYSTEM)]


def test_no_answer_url_is_an_empty_document_and_the_timeline_says_so(stage: Stage) -> None:
    Flow.objects.update(url="")
    stage.take_over().start(now=stage.now)

    assert (stage.line.fetched, stage.line.ended) == ([], [(Reason.HANGUP, Party.SYSTEM)])
    assert stage.timeline()[-1] == "no_answer_url"


def test_an_answer_url_that_fails_ends_the_call(stage: Stage) -> None:
    stage.runner.start(now=stage.now)

    stage.runner.fetched(stage.line.asked, Fetched(None, "$.actions: is required", 200, 5), now=stage.now)

    assert stage.line.ended == [(Reason.ANSWER_URL_FAILED, Party.SYSTEM)]
    line = stage.call.timeline.latest("id")
    assert (line.kind, line.data["why"]) == ("answer_url_failed", "$.actions: is required")


def test_hangup_runs_nothing_after_it(stage: Stage) -> None:
    stage.begin({"hangup": {}}, {"say": {"text": "never"}})

    assert (stage.line.said, len(stage.line.ended)) == ([], 1)


def test_a_playback_of_another_time_moves_nothing(stage: Stage) -> None:
    stage.begin({"say": {"text": "One"}}, {"say": {"text": "Two"}})

    stage.hear(Kind.PLAYED, playback_id="playback of yesterday")
    assert stage.line.said == ["One"]

    stage.played()
    stage.hear(Kind.PLAYED, playback_id="playback 1")
    assert stage.line.said == ["One", "Two"]


@pytest.mark.parametrize("how", ["refused", "failed later"])
def test_speech_that_fails_is_noted_and_the_flow_goes_on(stage: Stage, how: str) -> None:
    stage.line.is_mute = how == "refused"
    stage.begin({"say": {"text": "One"}}, {"pause": {"seconds": 2}})

    if how == "failed later":
        stage.played(failed=True)

    assert "action_failed" in stage.timeline()
    assert stage.line.waits[-1][0] == 2


def test_a_pause_waits_its_time(stage: Stage) -> None:
    stage.begin({"pause": {"seconds": 1.5}}, {"say": {"text": "Then"}})
    assert (stage.line.waits[-1][0], stage.line.said) == (1.5, [])

    stage.wait()
    assert stage.line.said == ["Then"]


def test_a_wait_that_something_outran_moves_nothing(stage: Stage) -> None:
    stage.begin({"gather": {"num_digits": 2}}, {"say": {"text": "Then"}})
    stale = stage.line.waits[-1][1]
    stage.press("1")

    stage.runner.woken(stale, now=stage.now)
    assert stage.line.said == []

    stage.press("2")
    assert stage.gathered()["digits"] == "12"


def test_digits_during_the_prompt_stop_it_and_count(stage: Stage) -> None:
    stage.begin({"gather": {"prompt": "Press two keys", "num_digits": 2}})
    assert (stage.line.said, stage.line.waits) == (["Press two keys"], [])

    stage.press("4")
    assert stage.line.stopped == ["playback 1"]
    stage.press("2")

    assert stage.line.stopped == ["playback 1"]
    assert (stage.gathered()["digits"], stage.gathered()["status"]) == ("42", "completed")


def test_the_timeout_counts_from_the_end_of_the_prompt_and_from_each_digit(stage: Stage) -> None:
    stage.begin({"gather": {"prompt": "Press", "num_digits": 3, "timeout_seconds": 7}})
    assert stage.line.waits == []

    stage.played()
    stage.press("12")

    assert [seconds for seconds, _ in stage.line.waits] == [7, 7, 7]


@pytest.mark.parametrize(
    ("params", "pressed", "status", "digits", "timed_out"),
    [
        ({"num_digits": 2}, "12", "completed", "12", False),
        ({"max_digits": 4, "finish_on_key": "#"}, "12#", "completed", "12", False),
        ({"max_digits": 4, "min_digits": 3, "finish_on_key": "#"}, "12#", "incomplete", "12", False),
        ({"max_digits": 4, "min_digits": 2}, "12", "completed", "12", True),
        ({"num_digits": 2}, "1", "timeout", "1", True),
        ({"num_digits": 2}, "", "timeout", "", True),
        ({"num_digits": 2}, "*#", "completed", "*#", False),
    ],
)
def test_a_gather_ends_on_enough_digits_the_finish_key_or_its_time(
    stage: Stage, params: dict[str, Any], pressed: str, status: str, digits: str, timed_out: bool
) -> None:
    stage.begin({"gather": params}, {"say": {"text": "Thanks"}})

    stage.press(pressed)
    if timed_out:
        stage.wait()

    brought = stage.gathered()
    assert (brought["status"], brought["digits"], brought["timed_out"]) == (status, digits, timed_out)
    assert brought["event_key"] == f"{stage.call.public_id}:call.gathered"
    assert stage.line.said == ["Thanks"]


def test_digits_outside_a_gather_count_for_nothing(stage: Stage) -> None:
    stage.begin({"pause": {"seconds": 1}}, {"gather": {"num_digits": 1}})

    stage.press("9")
    stage.wait()
    stage.press("1")

    assert stage.gathered()["digits"] == "1"


def test_the_next_request_is_told_what_was_gathered(stage: Stage) -> None:
    stage.begin({"gather": {}}, {"redirect": {"url": "https://example.test/next"}})

    stage.press("5")

    request = stage.line.fetched[-1]
    assert (request.url, request.method) == ("https://example.test/next", "GET")
    told = {name: request.context[name] for name in ("reason", "digits", "gather_status", "timed_out")}
    assert told == {"reason": "redirect", "digits": "5", "gather_status": "completed", "timed_out": False}


def test_a_second_gather_has_an_event_key_of_its_own(stage: Stage) -> None:
    stage.begin({"gather": {}}, {"gather": {}})

    stage.press("12")

    assert stage.gathered()["event_key"] == f"{stage.call.public_id}:call.gathered:2"


def test_sensitive_digits_are_told_by_post_and_never_kept(stage: Stage) -> None:
    stage.begin(
        {"gather": {"num_digits": 8, "sensitive": True}},
        {"redirect": {"url": "https://example.test/next", "method": "POST"}},
    )

    stage.press("73577357")

    assert stage.line.fetched[-1].context["digits"] == "73577357"
    assert stage.gathered()["digits"] is None
    assert "73577357" not in everything_stored()
    assert "73577357" not in repr(stage.runner.flow.__dict__)


def test_sensitive_digits_are_not_told_by_get(stage: Stage) -> None:
    stage.begin({"gather": {"num_digits": 8, "sensitive": True}}, {"redirect": {"url": "https://example.test/next"}})

    stage.press("73577357")

    assert "73577357" not in json.dumps(dict(stage.line.fetched[-1].context))


def everything_stored() -> str:
    """Return the text of every row that a flow can write."""
    with connection.cursor() as cursor:
        texts = []
        for table in ("calls_flow", "calls_callevent", "calls_call", "webhooks_webhookevent"):
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} AS t")
            texts += [text for (text,) in cursor.fetchall()]
        cursor.execute("SELECT convert_from(body, 'UTF8') FROM webhooks_webhookevent")
        return "\n".join([*texts, *(text for (text,) in cursor.fetchall())])


def test_a_redirect_replaces_the_rest(stage: Stage) -> None:
    stage.begin({"redirect": {"url": "https://example.test/next"}}, {"say": {"text": "never"}})

    stage.bring({"say": {"text": "Next"}})
    stage.played()

    assert stage.line.said == ["Next"]
    assert len(stage.line.ended) == 1


@pytest.mark.parametrize("most", [0, 1, 3])
def test_redirects_are_counted_over_the_whole_call(stage: Stage, most: int) -> None:
    again = {"redirect": {"url": "https://example.test/again", "max_redirects": most}}
    stage.begin(again)
    for _ in range(most):
        stage.bring(again)

    assert len(stage.line.fetched) == 1 + most
    assert stage.line.ended == [(Reason.ANSWER_URL_FAILED, Party.SYSTEM)]
    assert stage.timeline()[-1] == "too_many_redirects"


def test_another_process_runs_the_current_action_again_and_nothing_before_it(stage: Stage) -> None:
    stage.begin({"say": {"text": "One"}}, {"say": {"text": "Two"}}, {"say": {"text": "Three"}})
    stage.played()
    assert stage.line.said == ["One", "Two"]

    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)
    stage.played()

    assert stage.line.said == ["One", "Two", "Two", "Three"]
    assert len(stage.line.fetched) == 1


def test_another_process_asks_again_for_a_document_that_had_not_come(stage: Stage) -> None:
    stage.begin({"redirect": {"url": "https://example.test/next"}})

    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)

    assert [request.url for request in stage.line.fetched[1:]] == ["https://example.test/next"] * 2


def test_a_gather_whose_process_died_is_told_of_by_the_end_of_its_call(stage: Stage) -> None:
    """The digits so far died with the process."""
    stage.begin({"gather": {"num_digits": 3}})
    stage.press("1")

    end(stage.call, at=stage.now + timedelta(seconds=1))

    assert store.load(stage.call.pk) is None
    assert (stage.gathered()["digits"], stage.gathered()["status"]) == ("", "hangup")
    assert list(WebhookEvent.objects.order_by("sequence").values_list("type", flat=True))[-2:] == [
        "call.gathered",
        "call.completed",
    ]


def test_a_gather_that_was_told_of_is_not_told_of_again_by_the_end(stage: Stage) -> None:
    stage.begin({"gather": {"num_digits": 3}}, {"gather": {}})

    stage.runner.tell(lambda step: step.hung_up(now=stage.now), now=stage.now)
    end(stage.call, at=stage.now + timedelta(seconds=1))

    assert WebhookEvent.objects.filter(type="call.gathered").count() == 1


@pytest.mark.parametrize("action", [{"say": {"text": "Hello"}}, {"pause": {"seconds": 1}}])
def test_the_end_of_a_call_in_another_action_gathers_nothing(stage: Stage, action: dict[str, Any]) -> None:
    stage.begin({"gather": {}}, action, {"gather": {}})
    stage.press("1")

    end(stage.call, at=stage.now + timedelta(seconds=1))

    assert WebhookEvent.objects.filter(type="call.gathered").count() == 1


def test_a_gather_that_replaces_a_flow_and_has_not_begun_gathers_nothing(stage: Stage) -> None:
    stage.begin({"pause": {"seconds": 60}})
    [gather] = document.parse(json.dumps({"actions": [{"gather": {}}]}).encode())
    store.replace(call_id=stage.call.pk, actions=[gather], url="", method="POST", now=stage.now)

    end(stage.call, at=stage.now + timedelta(seconds=1))

    assert not WebhookEvent.objects.filter(type="call.gathered").exists()


def test_a_document_of_actions_that_take_no_time_runs_to_its_end(stage: Stage) -> None:
    """Each refused action began the next one from within: 200 of them must not nest 200 deep."""
    stage.line.is_mute = True

    stage.begin(*[{"say": {"text": "One"}}] * 200)

    assert stage.timeline().count("action_failed") == 200
    assert stage.line.ended == [(Reason.HANGUP, Party.SYSTEM)]
