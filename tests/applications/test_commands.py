"""`manage.py issue_key` and `suspend`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from applications import keys
from applications.models import ApiKey
from calls.models import Call
from tests import factories
from tests.calls.steps import place
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db


def run(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("options", "scopes"),
    [([], ["calls", "manage"]), (["--scopes", "calls"], ["calls"]), (["--scopes", ""], [])],
)
def test_an_issued_key_works(acme: Actor, options: list[str], scopes: list[str]) -> None:
    lines = run("issue_key", acme.application.public_id, "--name", "for support", *options).splitlines()

    caller = keys.recognise(lines[2].split()[-1])
    assert caller is not None
    assert (caller.application, caller.scopes) == (acme.application, scopes)
    key = ApiKey.objects.get(pk=caller.key_id)
    assert lines[0].split() == ["key", key.public_id]
    assert key.name == "for support"


def test_issues_nothing_for_bad_input(acme: Actor) -> None:
    gone = factories.ApplicationFactory(customer=acme.customer, is_active=False)
    for command, said in (
        (["app_x"], "there is no active application app_x"),
        ([gone.public_id], "there is no active application"),
        ([acme.application.public_id, "--scopes", "calls,everything"], "there is no scope everything"),
        ([acme.application.public_id, "--name", "n" * 101], "a name may have at most 100 characters"),
    ):
        with pytest.raises(CommandError, match=said) as refused:
            run("issue_key", *command)
        assert refused.value.returncode == 1
    assert ApiKey.objects.count() == 1


def test_suspends_and_lifts_and_leaves_live_calls_alone(acme: Actor, globex: Actor) -> None:
    call = place(acme)

    assert run("suspend", acme.customer.public_id) == "acme is suspended; calls still up: 1\n"
    assert refusal(acme.client().get("/v1/balance")) == (403, "account_suspended")
    assert globex.client().get("/v1/balance").status_code == 200
    assert Call.objects.get(pk=call.pk).status == "queued"
    assert run("suspend", acme.customer.public_id) == "acme is suspended already; calls still up: 1\n"

    assert run("suspend", acme.customer.public_id, "--lift") == "acme is active again\n"
    assert acme.client().get("/v1/balance").status_code == 200
    assert run("suspend", acme.customer.public_id, "--lift") == "acme is active: it was not suspended\n"


def test_suspends_nobody_who_is_not_there() -> None:
    with pytest.raises(CommandError, match="there is no customer cust_x"):
        run("suspend", "cust_x")
