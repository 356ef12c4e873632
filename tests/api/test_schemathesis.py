"""schemathesis over the whole OpenAPI: nothing it thinks of meets a 5xx, an undocumented status, or HTML.

The everyday run always tries the same; `FAULTS=full` tries much more, and other things each time (a failure prints
what it takes to repeat it).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from minivoice.openapi.document import document
from tests.api import doors
from tests.conftest import Actor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials", "names", "one_connection")]

IS_FULL = os.environ.get("FAULTS") == "full"
SETTINGS = settings(
    derandomize=not IS_FULL,
    database=None,
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# A schema cannot say that a host is public, a number possible, a cursor one that was given out.
WEAKER_THAN_THE_CODE = [positive_data_acceptance]


def described() -> Any:
    """The document as schemathesis reads it, over this very process."""
    described = schemathesis.openapi.from_dict(document())
    described.app = get_wsgi_application()
    return described


SIGNED_IN, NAMED, STRANGERS = described(), described(), described()
NAMED.config.phases.update(phases=["fuzzing"])
STRANGERS.config.phases.update(phases=["examples", "fuzzing"])


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests share the test's transaction, as those of Django's own test client do."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@contextmanager
def undone() -> Iterator[None]:
    """Each request meets the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@SIGNED_IN.parametrize()
@settings(SETTINGS, max_examples=500 if IS_FULL else 10)
def test_nothing_surprises_who_is_signed_in(case: Any, acme: Actor) -> None:
    with undone():
        sign_in(case, acme)
        case.call_and_validate(excluded_checks=[*WEAKER_THAN_THE_CODE, ignored_auth])


@NAMED.include(path_regex="{").parametrize()
@settings(SETTINGS, max_examples=500 if IS_FULL else 10)
def test_nothing_surprises_who_names_rows_of_his_own(case: Any, acme: Actor) -> None:
    with undone():
        mine = doors.own(acme)
        case.path_parameters = {name: mine[name] for name in case.path_parameters}
        sign_in(case, acme)
        case.call_and_validate(excluded_checks=[*WEAKER_THAN_THE_CODE, ignored_auth])


@STRANGERS.parametrize()
@settings(SETTINGS, max_examples=100 if IS_FULL else 3)
def test_whoever_is_not_signed_in_learns_nothing_else(case: Any, acme: Actor) -> None:
    with undone():
        response = case.call()

        case.validate_response(response, excluded_checks=WEAKER_THAN_THE_CODE)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")


def sign_in(case: Any, actor: Actor) -> None:
    """Give the case the actor's key as its own: one it was made without is then no reason to expect a refusal."""
    case.headers["Authorization"] = f"Bearer {actor.key}"
