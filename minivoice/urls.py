"""Every address of the platform. Ids have dots: routes take any text up to the next slash."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from applications.views import Applications
from billing.views import BalanceView
from calls.views import Calls, Hangup, OneCall, Timeline
from minivoice import health

urlpatterns = [
    path("v1/applications", Applications.as_view()),
    path("v1/balance", BalanceView.as_view()),
    path("v1/calls", Calls.as_view()),
    path("v1/calls/<str:call_id>", OneCall.as_view()),
    path("v1/calls/<str:call_id>/hangup", Hangup.as_view()),
    path("v1/calls/<str:call_id>/events", Timeline.as_view()),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
]

handler400 = "minivoice.api.bad_request"
handler404 = "minivoice.api.no_such_path"
handler500 = "minivoice.api.internal_error"
