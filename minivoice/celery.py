"""The Celery application: `celery -A minivoice worker`."""

import os
import sys
from typing import Any

from celery import Celery
from celery.fixups import django as fixups
from celery.signals import beat_init, celeryd_init
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections
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


class _ConnectionsKept(fixups.DjangoWorkerFixup):  # type: ignore[name-defined, misc]  # its stubs lack it
    """Keeps a worker's connection to the database from task to task, as Django does from request to request.

    Celery closes it before and after each: a nudge that finds one row then pays for a new server process of
    PostgreSQL, and for its knowledge of the tables, more than for its work. What is broken or old is closed.
    """

    def close_database(self, **_: Any) -> None:
        close_old_connections()


redis.Channel.QoS = _PlacesFreed
fixups.DjangoWorkerFixup = _ConnectionsKept  # type: ignore[attr-defined]

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
