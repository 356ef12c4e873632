import os
from typing import Any
from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings

from minivoice.openapi.document import document
from tests.conftest import Actor
from tests.telephony.conftest import names

SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.app = get_wsgi_application()

@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    signals = (request_started, request_finished)
    for s in signals: s.disconnect(close_old_connections)
    yield
    for s in signals: s.connect(close_old_connections)

@pytest.mark.django_db
@pytest.mark.usefixtures("nobody_dials", "names")
@SCHEMA.parametrize()
@settings(max_examples=int(os.environ.get("N", "10")), derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_x(case: Any, acme: Actor) -> None:
    with transaction.atomic():
        case.call_and_validate(headers={"Authorization": f"Bearer {acme.key}"})
        transaction.set_rollback(True)
