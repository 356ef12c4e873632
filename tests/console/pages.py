"""All addresses of the console: every list, form and question there is."""

from collections.abc import Iterator

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

OWN_MODELS = [model for model in admin.site._registry if model._meta.app_label != "auth"]


def address(model: type[Model], page: str, *arguments: object) -> str:
    """The address of a model's page, such as `changelist` or `change`."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def every_page(browser: Client) -> Iterator[tuple[str, str]]:
    """The address and text of each page that this browser's user may see."""
    for url in _addresses():
        answer = browser.get(url)
        assert answer.status_code in {200, 302, 403}, f"{url} answered {answer.status_code}"
        if answer.status_code == 200:
            yield url, answer.content.decode()


def _addresses() -> Iterator[str]:
    yield reverse("admin:index")
    for model, page in admin.site._registry.items():
        yield address(model, "changelist")
        yield address(model, "add")
        for row in model._default_manager.order_by("pk")[:1]:
            yield address(model, "change", row.pk)
            yield address(model, "history", row.pk)
            for action in getattr(page, "actions_detail", ()):
                yield address(model, action, row.pk)
