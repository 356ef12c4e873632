"""The world of recordings: a call that is up, and a folder."""

from pathlib import Path
from typing import Any

import pytest

from calls.models import Call
from minivoice import clock
from tests.calls import steps
from tests.calls.recordings.tape import Tape
from tests.conftest import Actor


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """Where audio is kept."""
    settings.STORAGES = {
        **settings.STORAGES,
        "recordings-local": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {**settings.STORAGES["recordings-local"]["OPTIONS"], "location": str(tmp_path)},
        },
    }
    return tmp_path


@pytest.fixture
def call(acme: Actor, engine: Tape, folder: Path) -> Call:
    """A call that is up."""
    call = steps.dial(acme)
    steps.answer(call, at=clock.now())
    return call
