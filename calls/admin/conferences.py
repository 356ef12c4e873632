"""Console: the conferences that are up, with the calls in them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from calls import conferences
from calls.models import Conference, Flow
from minivoice import console


@admin.register(Conference)
class ConferenceAdmin(console.ReadOnlyAdmin):
    """Rooms in which calls hear each other; each is here until its last call has left it."""

    list_display = ["room", "customer", "since", "calls"]
    search_fields = ["=room"]
    search_help_text = "The room's name, as the customer's documents have it"
    empty_text = "No conference is up. A room is here while calls are in it."
    fields = ["room", "customer", "since", "members"]
    readonly_fields = ["since", "members"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conference]:
        """Return those that are up."""
        return conferences.under_way()

    @admin.display(description="since")
    def since(self, conference: Conference) -> str:
        """When the first call entered."""
        return console.moment(conference.began_at)

    @admin.display(description="calls in it")
    def calls(self, conference: Conference) -> int:
        """How many calls are in it."""
        return len(conference.flows.all())

    @admin.display(description="calls in it")
    def members(self, conference: Conference) -> str:
        """The calls in it, in the order they came."""
        lines = ((_member(flow),) for flow in conference.flows.all())
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", lines))


def _member(flow: Flow) -> str:
    call = flow.call
    other = call.from_number if call.direction == call.Direction.INBOUND else call.to_number
    host = ", the conference ends when it leaves" if flow.is_host else ""
    link, since = console.call_link(call.public_id), console.moment(flow.entered_at)
    return format_html("{} ({}), since {}{}", link, console.numbers(other), since, host)
