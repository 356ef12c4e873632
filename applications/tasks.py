"""The doors Celery comes in by."""

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from applications import jobs, mail
from minivoice import clock, nudge, sign_in


@shared_task(name="applications.mail")
def send_mail() -> None:
    """Send the mail that is due."""
    mail.send(now=clock.now())


@shared_task(name="applications.prune")
def prune() -> None:
    """Delete mail that is older than it is kept, and the console's sessions that are over."""
    while mail.prune(now=clock.now()):
        pass
    SessionStore.clear_expired()
    sign_in.forget_failures(now=clock.now())


@shared_task(name=jobs.TASK, acks_late=False, time_limit=3600)
def do_jobs() -> None:
    """Do the job that is due. It may take long, so it is acknowledged at once: the row is due."""
    nudge.woken(jobs.TASK)
    jobs.drain()


@shared_task(name="applications.tidy_jobs")
def tidy_jobs() -> None:
    """Remove jobs that ended a day ago."""
    jobs.tidy(now=clock.now())
