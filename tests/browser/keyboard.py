"""Staff who have no mouse: they go by Tab, press Enter, and must see where they are."""

from playwright.sync_api import Page

MOST_TABS = 150


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called `name` has the focus; wherever it is on the way, it must be seen."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(_FOCUS)
        assert focus["isSeen"], f"nobody sees that {focus['markup']} has the focus on {page.url}"
        if focus["name"].startswith(name):
            return
    raise AssertionError(f"{name} is not reached by Tab on {page.url}")


def press(page: Page, name: str) -> None:
    """Go to the link or button called `name`, press Enter, and be led to another page."""
    tab_to(page, name)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def focused(page: Page) -> str:
    """The name of what has the focus."""
    name: str = page.evaluate(_FOCUS)["name"]
    return name


_FOCUS = """() => {
  const it = document.activeElement;
  const words = (it.labels && it.labels.length ? it.labels[0] : it).innerText || "";
  const icons = [it, ...it.querySelectorAll("*")].filter(each => each.matches(".material-symbols-outlined"));
  const text = icons.reduce((left, icon) => left.replace(icon.innerText, ""), words).trim();
  const isRinged = place => {
    const style = getComputedStyle(place);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  };
  const frames = [it, it.parentElement, it.parentElement && it.parentElement.parentElement].filter(Boolean);
  const box = it.getBoundingClientRect();
  return {
    name: (it.role === "region" ? "" : text) || it.ariaLabel || it.title || it.placeholder || "",
    isSeen: it === document.body || (box.width > 0 && box.height > 0 && frames.some(isRinged)),
    markup: it.outerHTML.slice(0, 200),
  };
}"""
