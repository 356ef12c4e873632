"""Where calls come from and whom they reach: by which trunk, for which number."""

from django.db.models import Q

from telephony.models import Number, Trunk

_TAKES_CALLS = (
    Q(direction__in=[Trunk.Direction.INBOUND, Trunk.Direction.BOTH])
    | Q(inbound_ip_approved_at__isnull=False)
    | Q(registers=True)
)


def source(endpoint: str) -> Trunk | None:
    """Return the trunk that has this name on the engine, or None when no calls may come in by it."""
    return Trunk.objects.filter(_TAKES_CALLS, endpoint=endpoint, is_active=True, deleted_at=None).first()


def reached(dialled: str, *, trunk: Trunk) -> Number | None:
    """Return the number that was dialled, with or without its `+`, over `trunk`; None for one that is not in use.

    A number rings through its own customer's trunks and the platform's only: to everybody else there is no such
    number, or one customer could catch, or pay with, another's calls.
    """
    numbers = Number.objects.filter(number_e164=f"+{dialled.removeprefix('+')}", is_active=True)
    if trunk.customer_id is not None:
        numbers = numbers.filter(customer_id=trunk.customer_id)
    return numbers.select_related("customer", "application").first()
