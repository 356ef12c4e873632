"""Figures stand under one another, so that a reader sees which is larger."""

import re
from collections.abc import Callable
from datetime import timedelta

from calls.seeding import volume
from minivoice import clock
from tests.browser.conftest import DESK, PHONE, Desk
from tests.console.pages import OWN_MODELS, address
from tests.journeys.stage import Integrator

FIGURE = re.compile(r"-?\d[\d,]*(\.\d+)?( [A-Z]{3}| s)?")
CODES = {"field-prefix"}  # digits that are no amount of anything
CELLS = """() => [...document.querySelectorAll("#result_list td, #result_list tbody th")].map(cell =>
    [[...cell.classList].find(name => name.startsWith("field-")) || "", cell.innerText.trim(),
     getComputedStyle(cell).textAlign])"""


def test_stand_right_in_every_list(desk: Desk, hire: Callable[..., Integrator]) -> None:
    list(volume.seed(calls=300, customers=3, now=clock.now() - timedelta(minutes=1), days=2))
    page = desk.seat("administrator", size=DESK)
    seen, astray = set(), []
    for model in OWN_MODELS:
        page.goto(address(model, "changelist"))
        cells: dict[str, list[tuple[str, str]]] = {}
        for name, text, side in page.evaluate(CELLS):
            if text and text != "–" and name not in CODES:
                cells.setdefault(name, []).append((text, side))
        for name, values in cells.items():
            if all(FIGURE.fullmatch(text) for text, _ in values):
                seen.add(name)
                astray += [f"{page.url}: {name}: {values[0]}"] if {side for _, side in values} != {"right"} else []
    assert astray == []
    assert {"field-cost", "field-duration", "field-moved", "field-posted_money", "field-attempts"} <= seen


def test_are_read_whole_on_a_phone(desk: Desk, hire: Callable[..., Integrator]) -> None:
    acme = hire("Acme")
    page = desk.seat("administrator", size=PHONE)
    page.goto(address(type(acme.customer), "change", acme.customer.pk))
    cut = page.evaluate("""() => [...document.querySelectorAll(".lines td")]
        .filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)""")
    assert cut == []
