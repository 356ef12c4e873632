"""The ledger does what its model does, whatever comes in whatever order."""

import pytest

from tests.billing import model


@pytest.mark.django_db
def test_the_ledger_agrees_with_its_model() -> None:
    model.run(examples=60, steps=40)
