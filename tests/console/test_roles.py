"""`migrate` makes the four roles, and brings them back to what they are."""

import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from calls import roles

pytestmark = pytest.mark.django_db


def permissions(name: str) -> set[str]:
    """What a group may do."""
    found = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    return {".".join(permission) for permission in found}


@pytest.mark.parametrize("name", roles.ROLES)
def test_a_migrated_database_has_the_role(name: str) -> None:
    assert permissions(name) == roles.ROLES[name]


def test_what_was_changed_by_hand_is_what_it_was_after_the_next_migrate() -> None:
    support, extra = Group.objects.get(name="support"), Permission.objects.get(codename="add_entry")
    support.permissions.set([extra])
    own = Group.objects.create(name="night shift")
    own.permissions.set([extra])

    roles.keep()

    assert permissions("support") == roles.ROLES["support"]
    assert permissions("night shift") == {"billing.add_entry"}


def test_support_moves_no_money_and_finance_touches_no_trunk() -> None:
    moves = {"billing.add_entry", "billing.approve_adjustment", "billing.change_balance", "billing.add_balance"}
    assert not roles.ROLES["support"] & moves
    assert not [name for name in roles.ROLES["finance"] if name.startswith("telephony.")]
    assert roles.ROLES["manager"] > roles.ROLES["support"] | roles.ROLES["finance"]
    assert roles.ROLES["administrator"] > roles.ROLES["manager"]
    assert [name for name in roles.ROLES if "billing.approve_adjustment" in roles.ROLES[name]] == [
        "manager",
        "administrator",
    ]


def test_an_administrator_adds_a_colleague(root: Client) -> None:
    url, password = reverse("admin:auth_user_add"), "a long enough password"
    fields = {"username": "kim", "usable_password": "true", "password1": password, "password2": password}
    assert set(re.findall(r'name="(\w+)"', root.get(url).content.decode())) >= fields.keys()
    root.post(url, fields)
    assert User.objects.get(username="kim").check_password(password)
