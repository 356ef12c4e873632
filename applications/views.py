"""Applications over HTTP."""

from typing import Any

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from applications import keys
from applications.authentication import caller
from applications.models import ApiKey, Application
from minivoice import api, clock, inputs


class ApplicationForm(inputs.Form):
    """The body of `POST /v1/applications`."""

    name = inputs.Text(max_length=100)
    answer_url = inputs.Url(required=False, default="")
    webhook_url = inputs.Url(required=False, default="")
    webhook_secret = inputs.Text(required=False, default="", min_length=8, max_length=256)
    answer_method = inputs.Choice(Application.Method.values, required=False, default=Application.Method.POST)


APPLICATION_FORM = ApplicationForm()


class Applications(api.View):
    """`POST /v1/applications` makes one with a key of its own; `GET` lists the customer's, without keys."""

    scopes = {"POST": ApiKey.Scope.MANAGE}

    def post(self, request: Request) -> Response:
        form = api.clean(APPLICATION_FORM, request.data)
        issuer = caller(request)
        with transaction.atomic():
            application = Application.objects.create(customer=issuer.customer, **form)
            _, text = keys.issue(application=application, scopes=issuer.scopes, issued_with=issuer.key_id)
        body = render(application)
        return Response({**body, "api_key": text, "created_at": body["created_at"]}, status=201)

    def get(self, request: Request) -> Response:
        applications = Application.objects.filter(customer=caller(request).customer).select_related("customer")
        return api.page(request, applications, render)


def render(row: Application) -> dict[str, Any]:
    """Return the application object of the API; neither keys nor the secret are ever in it."""
    return {
        "id": row.public_id,
        "customer_id": row.customer.public_id,
        "name": row.name,
        "answer_url": row.answer_url or None,
        "answer_method": row.answer_method,
        "webhook_url": row.webhook_url or None,
        "is_active": row.is_active,
        "created_at": clock.text(row.created_at),
    }
