"""Console: long work that staff have asked for. Each sees their own."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse

from applications import jobs
from applications.models import Job
from minivoice import clock, console, open_page

_MOST_POLLED = 50
_QUESTION = "applications.admin.jobs"


def ask(request: HttpRequest, *, kind: str, title: str, params: Mapping[str, Any]) -> HttpResponseRedirect:
    """Have a job done for the member of staff who asks, and lead to its page. Raises PermissionDenied."""
    user = asker(request, kind)
    job = jobs.ask(kind=kind, title=title, params=params, asked_by=user, now=clock.now())
    LogEntry.objects.log_actions(user.pk, [job], ADDITION, change_message=f"asked for: {title}")
    return to_page(job)


def asker(request: HttpRequest, kind: str) -> User:
    """Return who asks for a job of this kind. Raises PermissionDenied when they may not."""
    if not isinstance(request.user, User) or not jobs.may(request.user, kind):
        raise PermissionDenied
    return request.user


def to_page(job: Job) -> HttpResponseRedirect:
    """Return the way to a job's page."""
    return HttpResponseRedirect(console.url_of(job))


def progress(request: HttpRequest, token: str) -> JsonResponse:
    """Tell an open page how those of the jobs `ids` go that are its reader's, in one query.

    A signed token says who reads, instead of a session, which would cost more queries than the answer.
    """
    try:
        staff_id = open_page.reader(token, question=_QUESTION)
    except open_page.Stranger:
        return JsonResponse({}, status=403)
    ids = [int(text) for text in request.GET.get("ids", "").split(",") if text.isdecimal() and len(text) < 19]
    own = Job.objects.filter(asked_by=staff_id, asked_by__is_active=True, asked_by__is_staff=True)
    found = own.filter(pk__in=ids[:_MOST_POLLED])
    told = {
        job.pk: {
            "state": job.get_state_display(),
            "percent": job.percent,
            "line": job.line,
            "is_under_way": job.is_under_way,
        }
        for job in found
    }
    return JsonResponse(told, headers={"Cache-Control": "no-store"})


@admin.register(Job)
class JobAdmin(console.ReadOnlyAdmin):
    """A member of staff's own jobs, newest first. What is under way refreshes itself."""

    list_display = ["title", "progress", "how", "created", "result"]
    list_display_links = ["title"]
    list_filter = ["state"]
    ordering = ["-id"]
    empty_text = "No jobs of yours. One is here when you import, export, replay a time or make a statement."
    fields: tuple[str, ...] = ()
    change_form_template = "applications/job.html"

    class Media:
        js = ["console/jobs.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Show nobody another's."""
        own: QuerySet[Job] = super().get_queryset(request).filter(asked_by=request.user)
        return own

    def get_urls(self) -> list[URLPattern]:
        """Add what the pages ask while a job is under way, and the download."""
        view = self.admin_site.admin_view
        return [
            path("progress/<str:token>", progress, name="applications_job_progress"),
            path("<int:job_id>/download/", view(self.download), name="applications_job_download"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show how a job goes."""
        job = self.get_object(request, object_id)
        about = {**(extra_context or {}), "job": job}
        if job:
            about |= {"download_url": _download_url(job), "progress_url": _progress_url(job)}
        page: HttpResponse = super().change_view(request, object_id, form_url, about)
        return page

    def download(self, request: HttpRequest, job_id: int) -> FileResponse:
        """Answer with the file a job has written, to who asked for it and may still have it."""
        job = self.get_queryset(request).filter(pk=job_id, state=Job.State.DONE).exclude(file_name="").first()
        if job is None:
            raise Http404
        asker(request, job.kind)
        try:
            return FileResponse(jobs.result(job), as_attachment=True, filename=job.file_name)
        except FileNotFoundError as error:
            raise Http404 from error

    @admin.display
    def progress(self, job: Job) -> str:
        """How far it is."""
        return render_to_string("applications/job_progress.html", {"job": job, "progress_url": _progress_url(job)})

    @admin.display(description="how it goes, or went")
    def how(self, job: Job) -> str:
        """What its worker says."""
        return job.line or console.NOTHING

    @admin.display(description="asked at")
    def created(self, job: Job) -> str:
        """When it was asked for."""
        return console.moment(job.created_at)

    @admin.display
    def result(self, job: Job) -> str:
        """The way to what came of it."""
        if url := _download_url(job):
            return console.link(url, "Download", label=f"Download {job.file_name}")
        return console.link(job.page, "Show", label=f"Show {job}") if job.page else console.NOTHING


def _progress_url(job: Job) -> str:
    """Return where a page that shows a job asks how it goes: whose job it is reads it."""
    return reverse("admin:applications_job_progress", args=[open_page.token(job.asked_by_id, question=_QUESTION)])


def _download_url(job: Job) -> str:
    return reverse("admin:applications_job_download", args=[job.pk]) if job.file_name else ""
