"""Every address of the platform. Ids have dots: routes take any text up to the next slash."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from applications.views import Applications, Keys, OneApplication, OneKey, WebhookSecret
from billing.views import BalanceView, Ledger, RateLookup
from calls.admin import home, search
from calls.flow import shape
from calls.recordings.views import Audio, OneRecording, RecordingsOfCall
from calls.views import Actions, Calls, Explain, Hangup, OneCall, Timeline, UsageView, ValidateActions
from minivoice import metrics, readiness, sign_in
from minivoice.openapi.views import browse, openapi, published
from telephony.views import NumberByE164, Numbers, OneNumber, OneTrunk, Trunks, Voices
from webhooks.views import Deliveries, Feed, OneDelivery, ReplayOne, ReplayRange, TestEvent

urlpatterns = [
    path("v1/applications", Applications.as_view()),
    path("v1/applications/<str:application_id>", OneApplication.as_view()),
    path("v1/applications/<str:application_id>/keys", Keys.as_view()),
    path("v1/applications/<str:application_id>/keys/<str:key_id>", OneKey.as_view()),
    path("v1/applications/<str:application_id>/webhook-secret", WebhookSecret.as_view()),
    path("v1/applications/<str:application_id>/test-event", TestEvent.as_view()),
    path("v1/balance", BalanceView.as_view()),
    path("v1/actions/validate", ValidateActions.as_view()),
    path("v1/calls", Calls.as_view()),
    path("v1/calls/explain", Explain.as_view()),
    path("v1/calls/<str:call_id>", OneCall.as_view()),
    path("v1/calls/<str:call_id>/actions", Actions.as_view()),
    path("v1/calls/<str:call_id>/hangup", Hangup.as_view()),
    path("v1/calls/<str:call_id>/events", Timeline.as_view()),
    path("v1/calls/<str:call_id>/recordings", RecordingsOfCall.as_view()),
    path("v1/recordings/<str:recording_id>", OneRecording.as_view()),
    path("v1/recordings/<str:recording_id>/audio", Audio.as_view()),
    path("v1/openapi.json", openapi),
    path("docs", browse),
    path("v1/dids", Numbers.as_view()),
    path("v1/dids/<str:did_id>", OneNumber.as_view()),
    path("v1/dids/by-number/<str:number_e164>", NumberByE164.as_view()),
    path("v1/events", Feed.as_view()),
    path("v1/ledger", Ledger.as_view()),
    path("v1/rates/lookup", RateLookup.as_view()),
    path("v1/schemas/actions.json", published(shape.schema)),
    path("v1/trunks", Trunks.as_view()),
    path("v1/trunks/<str:trunk_id>", OneTrunk.as_view()),
    path("v1/usage", UsageView.as_view()),
    path("v1/voices", Voices.as_view()),
    path("v1/webhooks/deliveries", Deliveries.as_view()),
    path("v1/webhooks/deliveries/<str:delivery_id>", OneDelivery.as_view()),
    path("v1/webhooks/deliveries/<str:delivery_id>/replay", ReplayOne.as_view()),
    path("v1/webhooks/replay", ReplayRange.as_view()),
    path("healthz", readiness.healthz),
    path("readyz", readiness.readyz),
    path("metrics", metrics.metrics),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/second-factor/", sign_in.ask, name="second_factor"),
    path("admin/search", admin.site.admin_view(search.page), name="search"),
    path("admin/figures/<str:token>", home.figures, name="figures"),
    path("admin/", admin.site.urls),
]

handler400 = "minivoice.api.bad_request"
handler403 = "minivoice.error_pages.forbidden"
handler404 = "minivoice.error_pages.not_found"
handler500 = "minivoice.error_pages.failed"
