"""Money over HTTP."""

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from billing import listing, rates, rendering
from billing.models import Balance, DeckVersion, Entry
from minivoice import api, clock, errors, inputs, schema


class LedgerForm(inputs.Form):
    """The query of `GET /v1/ledger`."""

    kind = inputs.Choice(Entry.Kind.values, required=False)
    created_after = inputs.Moment(required=False)
    created_before = inputs.Moment(required=False)


class RateForm(inputs.Form):
    """The query of `GET /v1/rates/lookup`."""

    to = inputs.QueryNumber()


LEDGER_FORM = LedgerForm()
RATE_FORM = RateForm()


class BalanceView(api.View):
    """`GET /v1/balance`: what the customer has."""

    @schema.operation("get_balance", "Get your balance", answers={200: rendering.BalanceObject})
    def get(self, request: Request) -> Response:
        return Response(rendering.balance(Balance.objects.get(customer=caller(request).customer)))


class Ledger(api.View):
    """`GET /v1/ledger`: every movement of the customer's money."""

    @schema.operation(
        "list_ledger_entries",
        "List the movements of your money",
        description="`created_after` is part of what is listed, `created_before` is not.",
        answers={200: schema.page_of(rendering.EntryObject)},
        query=LedgerForm,
    )
    def get(self, request: Request) -> Response:
        wanted = api.clean(LEDGER_FORM, request.query_params.dict())
        balance = Balance.objects.get(customer=caller(request).customer)
        entries = listing.entries(customer_id=balance.customer_id, wanted=wanted)
        return api.page(request, entries, lambda row: rendering.entry(row, currency=balance.currency))


class RateLookup(api.View):
    """`GET /v1/rates/lookup`: what a call would cost now, and why."""

    @schema.operation(
        "look_up_rate",
        "Look up what a call would cost",
        description="The longest prefix of the price list in force wins.",
        answers={200: rendering.RateLookupObject},
        errors=[errors.RateNotFound],
        query=RateForm,
    )
    def get(self, request: Request) -> Response:
        now = clock.now()
        number = api.clean(RATE_FORM, request.query_params.dict())["to"]
        quote = rates.quote(customer_id=caller(request).customer.pk, number=number, now=now)
        if quote is None:
            raise errors.RateNotFound
        version = DeckVersion.objects.get(pk=quote.version_id)
        return Response(rendering.rate_lookup(number, quote, version, hold_seconds=settings.HOLD_SECONDS))
