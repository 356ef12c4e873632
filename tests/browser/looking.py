"""What is wrong with a page as a browser shows it: too wide for its window, or not for everybody to use."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as NotInTime

from tests.browser.conftest import DESK, PHONE

_AXE = Axe().axe_script
_GRAVE = {"serious", "critical"}
_RUN = """isFirst => axe.run(
  isFirst ? document : {exclude: [["#nav-sidebar"]]},
  {resultTypes: ["violations"], preload: false, iframes: false},
)"""
_FIRST = "/admin/"
_TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"
_SETTLES_MS = 3000
_CHANGE_SCHEME = """scheme => {
  Alpine.$data(document.documentElement).adminTheme = scheme;
  return Alpine.nextTick().then(() => document.getAnimations().forEach(each => each.finish()));
}"""


def faults(page: Page, *, crossed: bool = False) -> Iterator[str]:
    """What axe calls serious or critical, and what is wider than the window, on the page that is open.

    It is looked at twice: at a desk in light and on a telephone in dark, or `crossed` the other way. The menu, which is
    the same everywhere, is looked at on the first page.
    """
    page.wait_for_load_state()
    page.evaluate(_AXE)
    schemes = ("light", "dark") if crossed else ("dark", "light")
    for size, scheme in zip((PHONE, DESK), schemes, strict=True):
        page.set_viewport_size(size)
        page.evaluate(_CHANGE_SCHEME, scheme)
        yield from (f"{page.url} at {size['width']} px in {scheme}: {fault}" for fault in _now(page))


def _now(page: Page) -> Iterator[str]:
    with suppress(NotInTime):  # charts follow the window in their own time
        page.wait_for_function(f"{_TOO_WIDE} <= 0", timeout=_SETTLES_MS)
    wide = page.evaluate(_TOO_WIDE)
    if wide > 0:
        yield f"{wide} px too wide"
    violations: list[dict[str, Any]] = page.evaluate(_RUN, page.url.endswith(_FIRST))["violations"]
    for fault in violations:
        if fault["impact"] in _GRAVE:
            nodes = [
                (node["html"][:120], (node["any"] or node["all"] or node["none"])[0]["message"][:160])
                for node in fault["nodes"]
            ]
            yield f"{fault['id']}: {nodes[:3]}"
