"""Money over HTTP."""

from rest_framework.request import Request
from rest_framework.response import Response

from applications.authentication import caller
from billing.models import Balance
from minivoice import api
from minivoice.money import text


class BalanceView(api.View):
    """`GET /v1/balance`: what the customer has."""

    def get(self, request: Request) -> Response:
        balance = Balance.objects.get(customer=caller(request).customer)
        return Response(
            {
                "posted": text(balance.posted),
                "held": text(balance.held),
                "available": text(balance.posted + balance.credit_limit - balance.held),
                "credit_limit": text(balance.credit_limit),
                "currency": balance.currency,
            }
        )
