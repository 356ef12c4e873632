"""`manage.py overrun`: what calls cost beyond what was held for them, which is the platform's own loss."""

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Sum

from calls.models import Call
from minivoice import money


class Command(BaseCommand):
    help = "Sums the overrun of calls by customer for a month (UTC); it is expected to be nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", help="such as 2026-05")

    def handle(self, *args: Any, **options: Any) -> None:
        year, month = _month(options["month"])
        late = Call.objects.filter(overrun_amount__gt=0, settled_at__year=year, settled_at__month=month)
        rows = late.values_list("customer__public_id", "customer__name", "currency").annotate(
            calls=Count("id"), overrun=Sum("overrun_amount")
        )
        for public_id, name, currency, calls, overrun in rows.order_by("customer__public_id"):
            self.stdout.write(f"{public_id}  {money.text(overrun)} {currency}  {calls} calls  {name}")
        self.stdout.write(f"{late.count()} calls of {options['month']} cost more than was held for them")


def _month(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise CommandError(f"{text} is not a month such as 2026-05")
    return int(text[:4]), int(text[5:])
