"""Jobs at the console: one's own, their progress, and their results as long as one may have them."""

import json
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from applications import jobs
from applications.models import Job
from tests.console.conftest import NOW
from tests.console.pages import address

PERMISSION = "billing.view_entry"


@pytest.fixture(autouse=True)
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(run: jobs.Run) -> jobs.Result:
        run.file.write(b"kind,amount\n")
        return jobs.Result("1 row.", file_name="ledger.csv")

    monkeypatch.setitem(jobs.KINDS, "try", jobs.Kind(PERMISSION, work, True))


@pytest.fixture
def finance(staff: Callable[..., Client]) -> Client:
    return staff("applications.view_job", PERMISSION)


def user_of(browser: Client) -> User:
    return User.objects.get(pk=browser.session["_auth_user_id"])


def asked(browser: Client, title: str = "Ledger of March") -> Job:
    return jobs.ask(kind="try", title=title, params={}, asked_by=user_of(browser), now=NOW)


def download_url(job: Job) -> str:
    return reverse("admin:applications_job_download", args=[job.pk])


def progress_url(browser: Client) -> str:
    """The address that an open list of jobs asks."""
    found = re.search(r'data-under-way="([^"]+)"', browser.get(address(Job, "changelist")).content.decode())
    assert found
    return found[1]


def progress(url: str, *ids: object) -> dict[str, object]:
    """What an open page is told: it sends no cookie."""
    answer = Client().get(url, {"ids": ",".join(map(str, ids))})
    found: dict[str, object] = json.loads(answer.content)
    return found


def test_the_result_is_downloaded_by_who_asked_for_it(finance: Client) -> None:
    job = asked(finance)
    assert finance.get(download_url(job)).status_code == 404
    assert "Waiting" in finance.get(address(Job, "change", job.pk)).content.decode()
    jobs.drain()
    page = finance.get(address(Job, "change", job.pk)).content.decode()
    assert "1 row." in page
    assert download_url(job) in page
    assert download_url(job) in finance.get(address(Job, "changelist")).content.decode()
    answer = finance.get(download_url(job))
    assert b"".join(answer.streaming_content) == b"kind,amount\n"
    assert answer["Content-Disposition"] == 'attachment; filename="ledger.csv"'
    assert "no-store" in answer["Cache-Control"]


def test_nobody_sees_the_jobs_of_another(finance: Client, root: Client) -> None:
    job, _ = asked(finance, "Ledger of acme"), asked(root)
    roots_url = progress_url(root)
    jobs.drain()
    assert root.get(download_url(job)).status_code == 404
    assert root.get(address(Job, "change", job.pk)).status_code == 302  # to the index, as Django does
    assert "Ledger of acme" not in root.get(address(Job, "changelist")).content.decode()
    assert progress(roots_url, job.pk) == {}


def test_who_may_no_longer_has_no_result(finance: Client) -> None:
    job = asked(finance)
    jobs.drain()
    user_of(finance).user_permissions.remove(Permission.objects.get(codename="view_entry"))
    assert finance.get(download_url(job)).status_code == 403


def test_a_page_that_is_open_asks_for_progress_by_one_query(finance: Client, settings: Settings) -> None:
    running, waiting, done = asked(finance), asked(finance), asked(finance)
    Job.objects.filter(pk=running.pk).update(state=Job.State.RUNNING, percent=40, line="4 of 10")
    Job.objects.filter(pk=done.pk).update(state=Job.State.DONE, percent=100)
    url = progress_url(finance)
    assert f'data-under-way="{url}"' in finance.get(address(Job, "change", running.pk)).content.decode()
    settings.REQUIRE_SECOND_FACTOR = True
    with CaptureQueriesContext(connection) as queries:
        found = progress(url, running.pk, waiting.pk, done.pk, "x", "9" * 30)
    assert found == {
        str(running.pk): {"state": "Running", "percent": 40, "line": "4 of 10", "is_under_way": True},
        str(waiting.pk): {"state": "Waiting", "percent": 0, "line": "", "is_under_way": True},
        str(done.pk): {"state": "Done", "percent": 100, "line": "", "is_under_way": False},
    }
    assert len(queries) == 1


def test_strangers_and_who_may_sign_in_no_more_have_no_progress(finance: Client) -> None:
    job = asked(finance)
    url = progress_url(finance)
    assert progress(url, job.pk)
    User.objects.filter(pk=user_of(finance).pk).update(is_active=False)
    assert progress(url, job.pk) == {}
    assert Client().get(reverse("admin:applications_job_progress", args=["forged"])).status_code == 403
