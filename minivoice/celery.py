"""The Celery application: `celery -A minivoice worker`."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init
from django.core.exceptions import ImproperlyConfigured
from kombu.transport import redis, virtual


class _PlacesFreed(redis.QoS):
    """Frees a task's place also when Redis cannot be told that the task has ended.

    Kombu keeps it until then, and Celery tells only once: a Redis that was frozen while as many tasks ended as a
    worker has places would have stopped it for good. The message comes again after `visibility_timeout`; it is a
    nudge, and does no harm.
    """

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


redis.Channel.QoS = _PlacesFreed

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
