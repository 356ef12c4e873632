"""How staff sign in: by a password, of which few wrong ones are taken, and a second factor.

That is the code of an authenticator app (RFC 6238). Who has none yet sets one up before anything else is shown.
"""

from base64 import b32encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import django_otp
import segno
from axes.models import AccessAttempt
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex
from unfold.widgets import UnfoldAdminTextInputWidget

View = Callable[[HttpRequest], HttpResponse]
_KEY = "totp_key"  # of the session
_OPEN = ("admin:login", "admin:logout", "second_factor")


class CodeForm(forms.Form):
    """Six digits that the app shows now."""

    code = forms.RegexField(
        r"^\s*[0-9]{6}\s*$",
        error_messages={"invalid": "six digits, as the app shows them"},
        widget=UnfoldAdminTextInputWidget(
            {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True, "maxlength": 6}
        ),
    )


def second_factor_required(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: staff who have shown no second factor see nothing of the console but the page that asks for it."""

    def answer(request: HttpRequest) -> HttpResponse:
        if settings.REQUIRE_SECOND_FACTOR and request.path.startswith("/admin/"):
            user: Any = request.user
            is_open = request.path in {reverse(name) for name in _OPEN}
            if user.is_authenticated and not user.is_verified() and not is_open:
                return HttpResponseRedirect(f"{reverse('second_factor')}?next={request.path}")
        return get_response(request)

    return answer


@never_cache
@staff_member_required(login_url="admin:login")  # type: ignore[untyped-decorator]
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for a code; from one that has not been set up yet, show first what the app must scan.

    What waits to be set up is this session's alone: no other that the password has opened ever sees its key.
    """
    user: Any = request.user
    device = TOTPDevice.objects.filter(user=user, confirmed=True).order_by("id").first()
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        confirmed = _confirmed(request, form) if device is None else _shown(device, form)
        if confirmed is not None:
            django_otp.login(request, confirmed)
            return HttpResponseRedirect(_next(request))
    about = {}
    if device is None:
        waiting = _waiting(request)
        about = {"qr": _drawn(waiting), "key": _spelled(waiting)}
    frame = admin.site.each_context(request)
    return TemplateResponse(request, "console/second_factor.html", {**frame, "form": form, "title": "Sign in", **about})


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any]) -> HttpResponse:
    """Say to who entered too many wrong passwords that it takes a while."""
    frame = admin.site.each_context(request)
    context = {**frame, "username": credentials.get("username", ""), "title": "Locked out"}
    return TemplateResponse(request, "console/locked_out.html", context, status=429).render()


def address(request: HttpRequest) -> str:
    """Return where a request comes from: behind a proxy, what it wrote last into X-Forwarded-For."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.SECURE_PROXY_SSL_HEADER else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")


def reset(user: User) -> bool:
    """Take a user's second factor away, who sets up a new one at the next sign-in; return whether there was one."""
    count, _ = TOTPDevice.objects.filter(user=user).delete()
    return bool(count)


def forget_failures(*, now: datetime) -> int:
    """Delete failed attempts to sign in that are older than they are kept; return how many."""
    old = AccessAttempt.objects.filter(attempt_time__lt=now - timedelta(days=settings.TIMELINE_DAYS))
    return int(old.delete()[0])


def _waiting(request: HttpRequest) -> TOTPDevice:
    """Return the device that this session is about to set up."""
    key = request.session.setdefault(_KEY, random_hex(20))
    return TOTPDevice(user=request.user, name="authenticator app", key=key)


def _confirmed(request: HttpRequest, form: CodeForm) -> TOTPDevice | None:
    """Keep the device that the session has set up, once its code is right; the first of a user's sessions wins."""
    waiting = _waiting(request)
    totp = TOTP(waiting.bin_key)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=waiting.user_id)
        if TOTPDevice.objects.filter(user=waiting.user_id, confirmed=True).exists():
            form.add_error(None, "Another second factor was set up meanwhile. Load this page again.")
            return None
        if not totp.verify(int(form.cleaned_data["code"]), tolerance=1):
            form.add_error(None, "This code is not right. Does the phone show the right time?")
            return None
        waiting.confirmed, waiting.last_t = True, totp.t()
        waiting.save()
    del request.session[_KEY]
    return waiting


def _shown(device: TOTPDevice, form: CodeForm) -> TOTPDevice | None:
    """Take a code, once; after wrong ones the device answers nothing for a while, which doubles each time."""
    with transaction.atomic():
        locked: TOTPDevice = TOTPDevice.objects.select_for_update().get(pk=device.pk)
        is_allowed, why = locked.verify_is_allowed()
        if is_allowed and locked.verify_token(form.cleaned_data["code"].strip()):
            return locked
    until = (why or {}).get("locked_until")
    says = "This code is not right, or was used before." if is_allowed else "Too many wrong codes."
    form.add_error(None, f"{says} Try again after {until:%H:%M:%S} UTC." if until else says)
    return None


def _next(request: HttpRequest) -> str:
    url = request.GET.get("next", "")
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts=None) else reverse("admin:index")


def _drawn(device: TOTPDevice) -> str:
    """Return the QR code as an image that needs no request: a `data:` URL."""
    uri: str = segno.make(device.config_url).svg_data_uri(scale=5, dark="#000", light="#fff")
    return uri


def _spelled(device: TOTPDevice) -> str:
    """Return the key for apps that cannot scan, in groups of four."""
    key = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(key[start : start + 4] for start in range(0, len(key), 4))
