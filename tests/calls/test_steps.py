"""Every action has its type, by which documents are read, and its step, which runs it."""

from calls.flow.actions import FORMS
from calls.flow.registry import STEPS


def test_each_action_that_can_be_asked_for_can_be_run() -> None:
    assert FORMS.keys() == STEPS.keys()
