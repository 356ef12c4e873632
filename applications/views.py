"""Applications, their keys and their secret over HTTP."""

from typing import TypedDict

from django.db import transaction
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from applications import events, keys, secret
from applications.authentication import caller
from applications.models import ApiKey, Application
from minivoice import api, clock, errors, inputs, schema


class ApplicationChangeForm(inputs.Form):
    """The body of `PATCH /v1/applications/:id`."""

    name = inputs.Text(max_length=100)
    answer_url = inputs.Url(required=False, default="")
    answer_method = inputs.Choice(Application.Method.values, required=False, default=Application.Method.POST)
    fallback_url = inputs.Url(required=False, default="")
    webhook_url = inputs.Url(required=False, default="")
    webhook_events = inputs.Choices(sorted(events.DOCUMENTED | events.CHOSEN), required=False, default=list)


class ApplicationForm(ApplicationChangeForm):
    """The body of `POST /v1/applications`."""

    webhook_secret = inputs.Text(required=False, default="", min_length=8, max_length=256)


class KeyForm(inputs.Form):
    """The body of `POST /v1/applications/:id/keys`."""

    name = inputs.Text(required=False, default="", max_length=ApiKey.NAME_CHARACTERS, allow_blank=True)
    scopes = inputs.Choices(ApiKey.Scope.values, required=False, default=None)


class SecretForm(inputs.Form):
    """The body of `POST /v1/applications/:id/webhook-secret`."""

    secret = inputs.Text(required=False, default="", min_length=8, max_length=256)


APPLICATION_FORM = ApplicationForm()
CHANGE_FORM = ApplicationChangeForm(partial=True)
KEY_FORM = KeyForm()
SECRET_FORM = SecretForm()


class ApplicationObject(TypedDict):
    """An application; neither keys nor the secret are ever in it."""

    id: schema.Id
    customer_id: schema.Id
    name: str
    answer_url: str | None
    answer_method: str
    fallback_url: str | None
    webhook_url: str | None
    webhook_events: list[str]
    webhook_failing_since: schema.Time | None
    webhook_disabled_at: schema.Time | None
    is_active: bool
    created_at: schema.Time


class NewApplicationObject(ApplicationObject):
    """An application just made, with its first key, which is shown this once."""

    api_key: str


class KeyObject(TypedDict):
    """A key, as far as it can be shown."""

    id: schema.Id
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    created_at: schema.Time
    last_used_at: schema.Time | None
    revoked_at: schema.Time | None


class NewKeyObject(KeyObject):
    """A key just issued, shown this once."""

    api_key: str


class SecretObject(TypedDict):
    """What became of the secret. `webhook_secret` is there once, when it was made here; a given one is not echoed."""

    application_id: schema.Id
    webhook_secret: str | None
    previous_secret_expires_at: schema.Time | None


class Applications(api.View):
    """`POST /v1/applications` makes one with a key of its own; `GET` lists the customer's, without keys."""

    @schema.operation(
        "create_application",
        "Create an application",
        description="It comes with a key of its own, which has the scopes of the key that asks and is shown this once.",
        body=ApplicationForm,
        answers={201: NewApplicationObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request) -> Response:
        form = api.clean(APPLICATION_FORM, request.data)
        issuer = caller(request)
        with transaction.atomic():
            application = Application.objects.create(customer=issuer.customer, **form)
            _, text = keys.issue_with(issuer, application=application)
        body: NewApplicationObject = {**render(application), "api_key": text}
        return Response(body, status=201)

    @schema.operation("list_applications", "List the applications", answers={200: schema.page_of(ApplicationObject)})
    def get(self, request: Request) -> Response:
        return api.page(request, _applications(request), render)


class OneApplication(api.View):
    """`GET`, `PATCH` and `DELETE /v1/applications/:id`."""

    @schema.operation("get_application", "Show an application", answers={200: ApplicationObject})
    def get(self, request: Request, application_id: str) -> Response:
        return Response(render(_find(request, application_id)))

    @schema.operation(
        "update_application",
        "Change an application",
        description="Fields that are not given stay as they are; `null` or an empty string clears a URL. "
        "A `webhook_url` that was disabled is enabled by sending it again. "
        "The secret is replaced by `rotate_webhook_secret`.",
        body=ApplicationChangeForm,
        answers={200: ApplicationObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def patch(self, request: Request, application_id: str) -> Response:
        application = _find(request, application_id)
        changes = api.clean(CHANGE_FORM, request.data)
        if "webhook_secret" in request.data:  # ignored, it would seem to be replaced
            raise errors.InvalidRequest("webhook_secret has an address of its own", param="webhook_secret")
        for name, value in changes.items():
            setattr(application, name, value)
        renewed = application.renew_endpoint(clock.now()) if "webhook_url" in changes else []
        application.save(update_fields=[*changes, *renewed])
        return Response(render(application))

    @schema.operation(
        "delete_application",
        "Deactivate an application",
        description="Its keys stop at once, the one that asks included; live calls go on, and history stays. "
        "It can still be shown, with `is_active` false. Deleting it again changes nothing.",
        answers={200: ApplicationObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def delete(self, request: Request, application_id: str) -> Response:
        application = _find(request, application_id)
        application.is_active = False
        application.save(update_fields=["is_active"])
        return Response(render(application))


class Keys(api.View):
    """`POST /v1/applications/:id/keys` issues a key; `GET` lists them, revoked ones too."""

    @schema.operation(
        "create_key",
        "Issue a further key of an application",
        description="Its `scopes` are at most those of the key that asks, and all of those when none are named; "
        "a key with none may read. `api_key` is shown this once.",
        body=KeyForm,
        answers={201: NewKeyObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request, application_id: str) -> Response:
        application = _find(request, application_id)
        if not application.is_active:
            raise errors.InvalidRequest("this application is deactivated: its keys do not work")
        form = api.clean(KEY_FORM, request.data)
        key, text = keys.issue_with(caller(request), application=application, **form)
        body: NewKeyObject = {**render_key(key), "api_key": text}
        return Response(body, status=201)

    @schema.operation("list_keys", "List the keys of an application", answers={200: schema.page_of(KeyObject)})
    def get(self, request: Request, application_id: str) -> Response:
        return api.page(request, ApiKey.objects.filter(application=_find(request, application_id)), render_key)


class OneKey(api.View):
    """`DELETE /v1/applications/:id/keys/:key_id`."""

    @schema.operation(
        "revoke_key",
        "Revoke a key",
        description="It stops at once, and for good. Revoking it again changes nothing.",
        answers={200: KeyObject},
        query=[
            schema.Query(
                "issued",
                "`true` revokes every key that was issued with it too, and with those, and so on",
                {"type": "string", "enum": ["true", "false"], "default": "false"},
            )
        ],
        scope=ApiKey.Scope.MANAGE,
    )
    def delete(self, request: Request, application_id: str, key_id: str) -> Response:
        own = ApiKey.objects.filter(application__customer=caller(request).customer).select_related("application")
        key = api.find(own, public_id=key_id, application__public_id=application_id)
        with_issued = request.query_params.get("issued", "false")
        if with_issued not in {"true", "false"}:
            raise errors.InvalidRequest("issued must be true or false", param="issued")
        keys.revoke(key, with_issued=with_issued == "true", now=clock.now())
        return Response(render_key(key))


class WebhookSecret(api.View):
    """`POST /v1/applications/:id/webhook-secret` replaces the secret; the old one signs beside it for a day."""

    @schema.operation(
        "rotate_webhook_secret",
        "Replace the webhook secret",
        description="Without `secret` one is made, and shown this once. For 24 hours the old one signs beside it: "
        "in `X-MiniVoice-Signature-Previous`, and second in `webhook-signature`.",
        body=SecretForm,
        answers={200: SecretObject},
        scope=ApiKey.Scope.MANAGE,
    )
    def post(self, request: Request, application_id: str) -> Response:
        application = _find(request, application_id)
        given = api.clean(SECRET_FORM, request.data)["secret"]
        made = "" if given else secret.new()
        replaced = secret.replace(application, secret=given or made, now=clock.now())
        body: SecretObject = {
            "application_id": replaced.public_id,
            "webhook_secret": made or None,
            "previous_secret_expires_at": clock.text(replaced.previous_secret_expires_at),
        }
        return Response(body)


def render(row: Application) -> ApplicationObject:
    """Return the application object of the API."""
    return {
        "id": row.public_id,
        "customer_id": row.customer.public_id,
        "name": row.name,
        "answer_url": row.answer_url or None,
        "answer_method": row.answer_method,
        "fallback_url": row.fallback_url or None,
        "webhook_url": row.webhook_url or None,
        "webhook_events": row.webhook_events,
        "webhook_failing_since": clock.text(row.webhook_failing_since),
        "webhook_disabled_at": clock.text(row.webhook_disabled_at),
        "is_active": row.is_active,
        "created_at": clock.text(row.created_at),
    }


def render_key(key: ApiKey) -> KeyObject:
    """Return the key object of the API."""
    return {
        "id": key.public_id,
        "name": key.name,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "scopes": key.scopes,
        "created_at": clock.text(key.created_at),
        "last_used_at": clock.text(key.last_used_at),
        "revoked_at": clock.text(key.revoked_at),
    }


def _applications(request: Request) -> QuerySet[Application]:
    """The applications of the caller's customer."""
    return Application.objects.filter(customer=caller(request).customer).select_related("customer")


def _find(request: Request, application_id: str) -> Application:
    return api.find(_applications(request), public_id=application_id)
