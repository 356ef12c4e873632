"""API keys: shown once, recognised by their digest, gone when revoked."""

import pytest

from applications import keys
from applications.models import ApiKey, Application
from minivoice import clock
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def application() -> Application:
    return factories.ApplicationFactory()


def issue(application: Application) -> tuple[ApiKey, str]:
    return keys.issue(application=application, scopes=["calls"])


def test_recognises_a_key_and_whose_it_is(application: Application) -> None:
    row, text = issue(application)

    caller = keys.recognise(text)

    assert caller is not None
    assert (caller.key_id, caller.application, caller.customer) == (row.pk, application, application.customer)
    assert caller.scopes == ["calls"]


def test_keeps_nothing_a_thief_could_use(application: Application) -> None:
    row, text = issue(application)

    assert text.startswith("mv_live_")
    assert len(text) >= len("mv_live_") + 32  # 190 random bits and more
    assert (row.prefix, row.last_four) == (text[:12], text[-4:])
    assert text.encode() not in bytes(row.digest)


def test_every_key_is_another(application: Application) -> None:
    assert len({issue(application)[1] for _ in range(20)}) == 20


def test_a_revoked_key_is_unknown(application: Application) -> None:
    row, text = issue(application)
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=clock.now())

    assert keys.recognise(text) is None


def test_the_keys_of_an_inactive_application_are_unknown(application: Application) -> None:
    _, text = issue(application)
    Application.objects.update(is_active=False)

    assert keys.recognise(text) is None


@pytest.mark.parametrize("change", [str.upper, lambda text: text + "x", lambda text: text[:-1], lambda text: ""])
def test_no_other_text_is_recognised(application: Application, change: object) -> None:
    _, text = issue(application)

    assert callable(change)
    assert keys.recognise(change(text)) is None


def test_is_recognised_by_one_query(application: Application, django_assert_num_queries: object) -> None:
    _, text = issue(application)

    assert callable(django_assert_num_queries)
    with django_assert_num_queries(1):
        keys.recognise(text)
