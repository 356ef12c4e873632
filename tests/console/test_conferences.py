"""Conferences at the console: the rooms that are up, and the calls in them."""

from django.test import Client

from calls.models import Call, Conference, Flow
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address
from tests.console.test_calls import LIVE


def test_shows_the_rooms_that_are_up_with_their_calls(root: Client, cast: Cast) -> None:
    listing = address(Conference, "changelist")
    assert root.get(listing).status_code == 200
    room = Conference.objects.create(customer=cast.customer, room="lobby", began_at=NOW)
    Conference.objects.create(customer=cast.customer, room="old", began_at=NOW, is_over=True)
    calls = [make_call(cast, number, **LIVE) for number in range(2)]
    for call in calls:
        Flow.objects.create(call=call, conference=room, entered_at=NOW, is_host=call is calls[0])
    (shown,) = root.get(listing).context["cl"].result_list
    assert (shown.room, len(shown.flows.all())) == ("lobby", 2)
    page = root.get(address(Conference, "change", room.pk)).content.decode()
    for call in calls:
        assert address(Call, "change", call.public_id) in page
    assert page.count("the conference ends when it leaves") == 1
