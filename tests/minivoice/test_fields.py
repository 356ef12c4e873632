"""Secrets at rest: encrypted, decrypted when they are asked for."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Value

from applications.models import Application
from tests import factories

pytestmark = pytest.mark.django_db

GARBAGE = "of a key that is gone"


@pytest.fixture
def application() -> Application:
    made: Application = factories.ApplicationFactory(webhook_secret="s3cret")
    return made


def stored(application: Application) -> str:
    return str(Application.objects.values_list("webhook_secret", flat=True).get(pk=application.pk))


def test_a_secret_is_read_as_it_was_written(application: Application) -> None:
    assert application.webhook_secret == "s3cret"
    assert Application.objects.get(pk=application.pk).webhook_secret == "s3cret"
    assert Application.objects.defer("webhook_secret").get(pk=application.pk).webhook_secret == "s3cret"
    assert Application.objects.get(pk=application.pk).previous_webhook_secret == ""


def test_a_list_of_values_shows_what_is_stored(application: Application) -> None:
    assert stored(application).startswith("gAAAA")


def test_a_row_whose_secret_cannot_be_read_serves_for_all_else(application: Application) -> None:
    Application.objects.update(webhook_secret=Value(GARBAGE))

    row = Application.objects.get(pk=application.pk)
    row.name = "renamed"
    row.save()

    assert (Application.objects.get(pk=application.pk).name, stored(application)) == ("renamed", GARBAGE)
    with pytest.raises(ImproperlyConfigured, match="cannot be read"):
        _ = row.webhook_secret


def test_what_is_saved_unread_stays_as_it_was(application: Application) -> None:
    before = stored(application)

    row = Application.objects.get(pk=application.pk)
    row.save()
    assert stored(application) == before

    row.webhook_secret = "another"
    row.save()
    assert "another" not in stored(application)
    assert Application.objects.get(pk=application.pk).webhook_secret == "another"
