"""`manage.py reencrypt`: afterwards the old keys may go."""

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import Value

from applications.models import Application
from minivoice import reencryption
from minivoice.fields import SecretField
from telephony.models import Engine, Trunk
from tests import factories

pytestmark = pytest.mark.django_db


def reencrypt() -> str:
    out = StringIO()
    call_command("reencrypt", stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def stored(settings: Any) -> dict[str, str]:
    """A secret in every column that there is, under the present key; a new one is put before it."""
    secrets = {
        "applications.Application.webhook_secret": "secret-1",
        "applications.Application.previous_webhook_secret": "secret-2",
        "telephony.Engine.password": "secret-3",
        "telephony.Trunk.password": "secret-4",
    }
    factories.ApplicationFactory(webhook_secret="secret-1", previous_webhook_secret="secret-2")
    factories.ApplicationFactory(webhook_secret="")
    Engine.objects.create(name="one", url="http://127.0.0.1:1", user="x", password="secret-3")
    factories.TrunkFactory(password="secret-4")
    settings.FIELD_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_KEYS]
    return secrets


def read() -> dict[str, str]:
    found = {}
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, SecretField):
                for row in model._base_manager.exclude(**{field.attname: ""}):
                    found[f"{model._meta.label}.{field.attname}"] = getattr(row, field.attname)
    return found


def test_the_first_key_reads_all_afterwards(stored: dict[str, str], settings: Any) -> None:
    trunk = Trunk.objects.get()
    histories = Application.history.count()

    assert "4 secrets written" in reencrypt()
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]

    assert read() == stored
    assert (Trunk.objects.get().updated_at, Application.history.count()) == (trunk.updated_at, histories)


def test_again_there_is_nothing_to_do(stored: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    reencrypt()
    before = list(Application.objects.order_by("pk").values_list("webhook_secret", flat=True))
    monkeypatch.setattr(reencryption, "BATCH", 1)

    assert "0 secrets written" in reencrypt()
    assert list(Application.objects.order_by("pk").values_list("webhook_secret", flat=True)) == before


def test_goes_on_from_batch_to_batch(stored: dict[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    new, *old = settings.FIELD_KEYS
    settings.FIELD_KEYS = old
    factories.ApplicationFactory.create_batch(4, webhook_secret="secret-1")
    settings.FIELD_KEYS = [new, *old]
    monkeypatch.setattr(reencryption, "BATCH", 2)

    assert reencrypt().splitlines() == [
        *["applications.Application.webhook_secret: 2 written"] * 2,
        "applications.Application.webhook_secret: 1 written",
        "applications.Application.previous_webhook_secret: 1 written",
        "telephony.Engine.password: 1 written",
        "telephony.Trunk.password: 1 written",
        "8 secrets written; the first of FIELD_KEYS reads all.",
    ]


def test_names_what_no_key_reads_and_writes_the_rest(stored: dict[str, str], settings: Any) -> None:
    lost = factories.ApplicationFactory()
    Application.objects.filter(pk=lost.pk).update(webhook_secret=Value("of a key that is gone"))

    out = StringIO()
    with pytest.raises(CommandError, match="1 secrets cannot be read"):
        call_command("reencrypt", stdout=out, stderr=out)

    assert f"applications.Application.webhook_secret: row {lost.pk} cannot be read" in out.getvalue()
    assert "of a key that is gone" not in out.getvalue()
    Application.objects.filter(pk=lost.pk).update(webhook_secret="")
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert read() == stored


def test_a_secret_that_is_replaced_meanwhile_stays(stored: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    encrypt = reencryption.fields.encrypted_anew

    def late(given: str) -> Any:
        Application.objects.exclude(webhook_secret="").update(webhook_secret="the customer's next")
        return encrypt(given)

    monkeypatch.setattr(reencryption.fields, "encrypted_anew", late)
    reencrypt()

    assert read()["applications.Application.webhook_secret"] == "the customer's next"
