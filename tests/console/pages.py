"""All addresses of the console: every list, form and question there is."""

from collections.abc import Container, Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from applications.models import ApiKey
from calls.models import Recording

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


def named_pages(*, but: Container[str | None], order: str = "pk") -> Iterator[tuple[str, str]]:
    """The name and address of each page that the console has, of a row where it is about one: the first in `order`."""
    for pattern in _patterns(admin.site.urls[0]):
        if pattern.name not in but:
            names = pattern.pattern.converters or pattern.pattern.regex.groupindex
            arguments = [_argument(str(pattern.name), name, order) for name in names]
            yield str(pattern.name), reverse(f"admin:{pattern.name}", args=arguments)


def _patterns(patterns: list[Any]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns)
        else:
            yield pattern


def _argument(page: str, argument: str, order: str) -> object:
    if argument == "recording_id":
        return Recording.objects.order_by(order)[0].public_id
    if argument == "key_id":
        return ApiKey.objects.order_by(order)[0].pk
    rows = {"_".join(model._meta.label_lower.split(".")): model for model in admin.site._registry}
    model = next(rows[name] for name in rows if page.startswith(f"{name}_"))
    return model._default_manager.order_by(order).values_list("pk", flat=True)[0]


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
