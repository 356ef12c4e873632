"""The Celery application: `celery -A minivoice worker`."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "minivoice.settings")

app = Celery("minivoice")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()


@celeryd_init.connect
@beat_init.connect
def _refuse_unsafe_settings(**_: Any) -> None:
    from minivoice import checks  # which reads the settings

    try:
        checks.refuse()
    except ImproperlyConfigured as error:
        sys.exit(str(error))  # a signal's other exceptions would only be logged
