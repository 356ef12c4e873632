"""What each role of staff may do. `migrate` brings the four groups to this table, after every release anew; who needs
another mix makes a group of another name.

Money moves by `billing.add_entry` alone; an amount above the threshold waits for `billing.approve_adjustment`.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, Permission

_SEEN_BY_ALL = (
    "applications.view_application",
    "applications.view_customer",
    "applications.view_job",
    "billing.view_balance",
    "calls.view_call",
    "calls.view_recording",
)
_SUPPORT = (
    "applications.change_apikey",  # revoked
    "applications.give_limits",  # until a date
    "applications.see_numbers",
    "applications.suspend_customer",
    "applications.view_apikey",
    "applications.view_notice",
    "calls.change_call",  # hung up
    "calls.listen_recording",
    "calls.note_call",
    "calls.view_conference",
    "calls.view_refusal",
    "telephony.switch_trunk",
    "telephony.view_engine",
    "telephony.view_number",
    "telephony.view_trunk",
    "webhooks.change_webhookevent",  # replayed
    "webhooks.view_deliveryattempt",
    "webhooks.view_webhookevent",
)
_FINANCE = (
    "applications.export",
    "billing.add_deckversion",
    "billing.add_entry",
    "billing.add_rate",
    "billing.add_ratedeck",
    "billing.change_deckversion",
    "billing.change_rate",
    "billing.change_ratedeck",
    "billing.delete_deckversion",
    "billing.delete_rate",
    "billing.view_approval",
    "billing.view_deckversion",
    "billing.view_entry",
    "billing.view_hold",
    "billing.view_rate",
    "billing.view_ratedeck",
    "billing.view_spendday",
    "calls.add_reconciliation",
    "calls.view_reconciliation",
)
_MANAGER = (
    "applications.add_apikey",
    "applications.add_application",
    "applications.add_customer",
    "applications.change_application",
    "applications.change_customer",
    "billing.add_balance",
    "billing.approve_adjustment",
    "billing.change_balance",
    "calls.add_call",  # test calls
    "telephony.add_number",
    "telephony.change_number",
)
_ADMINISTRATOR = (
    "auth.add_group",
    "auth.add_user",
    "auth.change_group",
    "auth.change_user",
    "auth.view_group",
    "auth.view_user",
    "telephony.add_engine",
    "telephony.add_trunk",
    "telephony.change_engine",
    "telephony.change_trunk",
)
ROLES: dict[str, frozenset[str]] = {
    "support": frozenset([*_SEEN_BY_ALL, *_SUPPORT]),
    "finance": frozenset([*_SEEN_BY_ALL, *_FINANCE]),
    "manager": frozenset([*_SEEN_BY_ALL, *_SUPPORT, *_FINANCE, *_MANAGER]),
    "administrator": frozenset([*_SEEN_BY_ALL, *_SUPPORT, *_FINANCE, *_MANAGER, *_ADMINISTRATOR]),
}


def keep(**_: Any) -> None:
    """Bring the groups to the table; a receiver of `post_migrate`, when all permissions are there."""
    ids = _ids()
    groups = {name: Group.objects.get_or_create(name=name)[0] for name in ROLES}
    granted = Group.permissions.through.objects
    has = set(granted.filter(group__in=groups.values()).values_list("group_id", "permission_id"))
    wants = {(groups[name].pk, ids[permission]) for name, role in ROLES.items() for permission in role}
    for group_id, permission_id in has - wants:
        granted.filter(group_id=group_id, permission_id=permission_id).delete()
    granted.bulk_create(_rows(wants - has))


def _ids() -> dict[str, int]:
    """Return the key of every permission by its name, such as `calls.view_call`."""
    found = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in found}


def _rows(pairs: Iterable[tuple[int, int]]) -> list[Any]:
    through = Group.permissions.through
    return [through(group_id=group_id, permission_id=permission_id) for group_id, permission_id in sorted(pairs)]
