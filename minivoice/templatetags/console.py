"""What the console's templates say alike."""

from django import template

from minivoice import moments

register = template.Library()
register.filter("moment", moments.moment)


@register.filter
def spaced(name: str) -> str:
    """Return a name of the code in words: `calls_up` is `Calls up`."""
    return name.replace("_", " ").capitalize()
