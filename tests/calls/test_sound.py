"""The actions that are heard: told what happens, and watched at their line."""

import pytest

from calls.models import Party, Reason
from tests.calls.staging import Stage, stage

__all__ = ["stage"]  # a fixture

pytestmark = pytest.mark.django_db


def test_speaks_and_prompts_in_the_voice_that_is_asked_for(stage: Stage) -> None:
    stage.begin({"say": {"text": "Hallo", "language": "de-DE"}}, {"gather": {"prompt": "Appuyez", "voice": "fr"}})
    stage.played()

    assert stage.line.said == ["de: Hallo", "fr: Appuyez"]


def test_fetches_a_sound_and_plays_it_as_often_as_it_is_to_be_heard(stage: Stage) -> None:
    stage.begin({"play": {"url": "https://example.test/a.mp3", "loop": 3}}, {"say": {"text": "Bye"}})

    assert (stage.line.audio, stage.line.said) == (["https://example.test/a.mp3"], [])
    stage.fetched_audio("sound:a")
    assert stage.line.said == ["sound:a sound:a sound:a"]
    stage.played()
    assert stage.line.said[1:] == ["Bye"]


def test_goes_on_when_a_sound_cannot_be_played_and_notes_why(stage: Stage) -> None:
    stage.begin({"play": {"url": "https://example.test/a.mp3"}}, {"play": {"url": "https://example.test/b.mp3"}})
    stage.fetched_audio("", "http_404")
    stage.fetched_audio("sound:b", request=2)
    stage.played(failed=True)

    failures = stage.call.timeline.filter(kind="action_failed").order_by("id").values_list("data", flat=True)
    assert list(failures) == [{"action": "play", "why": "http_404"}, {"action": "play", "why": "not played"}]
    assert stage.line.ended == [(Reason.HANGUP, Party.SYSTEM)]


def test_plays_nothing_that_another_action_asked_for(stage: Stage) -> None:
    stage.begin({"play": {"url": "https://example.test/a.mp3"}}, {"play": {"url": "https://example.test/b.mp3"}})
    stage.fetched_audio("", "read_timeout")
    stage.fetched_audio("sound:a")
    assert stage.line.said == []
    stage.fetched_audio("sound:b", request=2)
    stage.fetched_audio("sound:b", request=2)
    assert stage.line.said == ["sound:b"]


def test_stops_a_sound_whose_instructions_are_replaced(stage: Stage) -> None:
    stage.begin({"play": {"url": "https://example.test/a.mp3"}})
    stage.fetched_audio("sound:a")
    stage.runner.abandon(now=stage.now)

    assert stage.line.stopped == ["playback 1"]


def test_plays_a_text_once_it_is_rendered(stage: Stage) -> None:
    stage.begin({"say": {"text": "Hello"}}, {"say": {"text": "Bye"}})
    stage.rendered("sound:a", "sound:b")

    assert stage.line.said == ["Hello", "sound:a sound:b"]
    stage.played()
    assert stage.line.said[2:] == ["Bye"]


def test_goes_on_when_a_text_cannot_be_spoken_and_notes_it(stage: Stage) -> None:
    stage.begin({"say": {"text": "Hello"}}, {"gather": {"prompt": "Press", "num_digits": 2}})
    stage.rendered()
    stage.rendered(playback=2)
    stage.press("42")

    why = "the text could not be spoken"
    assert stage.failures() == [("say", why), ("gather", why)]
    assert stage.gathered()["digits"] == "42"


def test_collects_keys_although_the_engine_will_not_play_the_rendered_prompt(stage: Stage) -> None:
    stage.begin({"gather": {"prompt": "Press", "num_digits": 2}})
    stage.line.is_mute = True
    stage.rendered("sound:a")
    stage.press("42")

    assert stage.failures() == [("gather", "no such channel")]
    assert stage.gathered()["digits"] == "42"


def test_plays_no_prompt_that_is_rendered_after_a_key_or_for_another_action(stage: Stage) -> None:
    stage.begin({"gather": {"prompt": "Press", "num_digits": 2}})
    stage.press("4")
    stage.rendered("sound:a")
    stage.press("2")
    stage.rendered("sound:a")

    assert stage.line.said == ["Press"]
