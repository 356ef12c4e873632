"""The console's menu: where staff find what, in their words; each sees what its roles let it open."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst

_MENU: dict[str, list[tuple[str, str]]] = {
    "Calls": [
        ("call", "calls.call"),
        ("groups", "calls.conference"),
        ("phone_disabled", "calls.refusal"),
        ("webhook", "webhooks.webhookevent"),
    ],
    "Customers": [
        ("business", "applications.customer"),
        ("apps", "applications.application"),
        ("dialpad", "telephony.number"),
        ("mail", "applications.notice"),
    ],
    "Money": [
        ("receipt_long", "billing.entry"),
        ("lock_clock", "billing.hold"),
        ("calendar_month", "billing.spendday"),
        ("approval", "billing.approval"),
        ("price_change", "billing.ratedeck"),
        ("history", "billing.deckversion"),
        ("sell", "billing.rate"),
        ("balance", "calls.reconciliation"),
    ],
    "Telephone network": [
        ("settings_phone", "telephony.trunk"),
        ("dns", "telephony.engine"),
    ],
    "Staff": [
        ("hourglass", "applications.job"),
        ("person", "auth.user"),
        ("badge", "auth.group"),
    ],
}


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the menu as the theme reads it: what the request's user may open, and no empty part."""
    pages = {model._meta.label_lower: page for model, page in admin.site._registry.items()}  # noqa: SLF001  public
    parts: list[dict[str, Any]] = [{"items": [_item("Home", "home", reverse("admin:index"))]}]
    for title, entries in _MENU.items():
        items = [
            _item(capfirst(str(pages[model].opts.verbose_name_plural)), icon, _list_of(model))
            for icon, model in entries
            if pages[model].has_view_permission(request)
        ]
        if items:
            parts.append({"title": title, "separator": True, "items": items})
    return parts


def _item(title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link}


def _list_of(model: str) -> str:
    return reverse(f"admin:{model.replace('.', '_')}_changelist")
