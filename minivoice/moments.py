"""Times as the console writes them."""

from datetime import UTC, datetime

from django.utils.html import format_html

from minivoice import clock

NOTHING = "–"  # noqa: RUF001  a dash, as in print


def moment(at: datetime | None) -> str:
    """Return a time to the second: the viewer's browser shows it in its own zone, and in UTC on hover (`times.js`)."""
    if at is None:
        return NOTHING
    text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return format_html('<time class="moment" datetime="{}" title="{} UTC">{}</time>', clock.text(at), text, text)
