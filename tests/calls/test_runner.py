"""The run of a call's instructions, told what happens and watched at its line."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from applications import secret
from calls.flow import document, store
from calls.flow.fetching import Fetched, Request
from calls.flow.runner import Runner
from calls.models import Call, Flow, Party, Reason
from minivoice import clock
from telephony.engines.facts import ChannelGone
from tests.calls.steps import FakeEngine, answer, dial, end
from tests.conftest import Actor
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db


class FakeLine:
    """A line that does nothing and remembers everything."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stopped: list[str] = []
        self.fetched: list[Request] = []
        self.waits: list[tuple[float, int]] = []
        self.ended: list[tuple[Reason, Party]] = []
        self.is_mute = False
        self.asked = 0

    def say(self, text: str) -> str:
        if self.is_mute:
            raise ChannelGone("no such channel")
        self.said.append(text)
        return f"playback {len(self.said)}"

    def stop(self, playback_id: str) -> None:
        self.stopped.append(playback_id)

    def fetch(self, request: Request, token: int) -> None:
        self.fetched.append(request)
        self.asked = token

    def wake_in(self, seconds: float, token: int) -> None:
        self.waits.append((seconds, token))

    def hang_up(self, call_id: int, reason: Reason, by: Party) -> None:
        self.ended.append((reason, by))


class Stage:
    """A call that was answered, its runner and its line."""

    def __init__(self, call: Call, now: datetime) -> None:
        self.call, self.now, self.line = call, now, FakeLine()
        self.runner = self.take_over()

    def take_over(self) -> Runner:
        """Return a runner as another process would make it."""
        flow = store.load(self.call.pk)
        assert flow is not None
        return Runner(flow, self.line)

    def begin(self, *actions: Any) -> None:
        """Start, and answer the request for instructions with these."""
        self.runner.start(now=self.now)
        self.bring(*actions)

    def bring(self, *actions: Any) -> None:
        body = json.dumps({"actions": actions}).encode()
        self.runner.fetched(self.line.asked, Fetched(document.parse(body), "", 200, 5), now=self.now)

    def played(self, *, failed: bool = False) -> None:
        self.runner.played(f"playback {len(self.line.said)}", failed=failed, now=self.now)

    def press(self, digits: str) -> None:
        for digit in digits:
            self.runner.digit(digit, now=self.now)

    def wait(self) -> None:
        """Let the latest wait be over."""
        self.runner.woken(self.line.waits[-1][1], now=self.now)

    def gathered(self) -> dict[str, Any]:
        """Return the data of the latest `call.gathered`."""
        body = WebhookEvent.objects.filter(type="call.gathered").latest("pk").body
        data: dict[str, Any] = json.loads(bytes(body))["data"]
        return data

    def timeline(self) -> list[str]:
        return list(self.call.timeline.order_by("id").values_list("kind", flat=True))


@pytest.fixture
def stage(acme: Actor, engine: FakeEngine) -> Stage:
    call, now = dial(acme, answer_url="https://example.test/answer"), clock.now()
    answer(call, at=now)
    return Stage(call, now)


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

    stage.runner.played("playback of yesterday", failed=False, now=stage.now)
    assert stage.line.said == ["One"]

    stage.played()
    stage.runner.played("playback 1", failed=False, now=stage.now)
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
    assert "73577357" not in repr(vars(stage.runner).get("_running"))


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


def test_nothing_is_gathered_from_a_call_that_has_ended(stage: Stage) -> None:
    stage.begin({"gather": {}})
    end(stage.call, at=stage.now + timedelta(seconds=1))

    assert store.load(stage.call.pk) is None
    assert not WebhookEvent.objects.filter(type="call.gathered").exists()
