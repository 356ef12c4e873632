"""The server of what engines play, over real sockets."""

import asyncio
import http.client
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pytest_django.fixtures import Settings

from minivoice.local.kept import free_port, is_free
from telephony import media
from tests.telephony.engines.listening import until
from tests.telephony.serving import running

NAME = "0123456789abcdef" * 4 + ".wav"
SOUND = b"RIFF, or so"


@pytest.fixture
def bind(tmp_path: Path, settings: Settings) -> str:
    """Where a folder with one sound is to be served: a port that is free."""
    folder = tmp_path / "speech"
    folder.mkdir()
    (folder / NAME).write_bytes(SOUND)
    (folder / "notes.wav").write_text("not a sound of ours")
    (tmp_path / NAME.replace("0", "1")).write_text("outside")
    settings.SPEECH_FOLDER, settings.SPEECH_BIND = str(folder), f"127.0.0.1:{free_port()}"
    return str(settings.SPEECH_BIND)


@pytest.fixture
def served(bind: str) -> Iterator[str]:
    """The address at which the folder is served."""
    with running(media.serving):
        until(lambda: not is_free(int(bind.rpartition(":")[2])))
        yield f"http://{bind}"


def test_a_sound_is_given_and_never_asked_for_again(served: str) -> None:
    given = requests.get(f"{served}/{NAME}", timeout=5)
    assert (given.status_code, given.content, given.headers["Content-Type"]) == (200, SOUND, "audio/wav")
    assert given.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    looked = requests.head(f"{served}/{NAME}", timeout=5)
    assert (looked.status_code, looked.headers["Content-Length"]) == (200, str(len(SOUND)))
    again = requests.get(f"{served}/{NAME}", headers={"If-None-Match": given.headers["ETag"]}, timeout=5)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/{NAME.replace('0', 'f')}",
        "/notes.wav",
        f"/{NAME.upper()}",
        f"/{NAME}.gz",
        f"/{NAME}/",
        f"/../{NAME.replace('0', '1')}",
        f"/..%2f{NAME.replace('0', '1')}",
        f"//{NAME}",
    ],
)
def test_nothing_else_is_given(served: str, path: str) -> None:
    connection = http.client.HTTPConnection(served.removeprefix("http://"), timeout=5)  # leaves the path as it is
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_done_but_reading(served: str, method: str) -> None:
    assert requests.request(method, f"{served}/{NAME}", data=b"x", timeout=5).status_code == 405
    assert requests.get(f"{served}/{NAME}", timeout=5).content == SOUND


def test_the_port_is_free_again_afterwards(bind: str) -> None:
    port = int(bind.rpartition(":")[2])
    with running(media.serving):
        until(lambda: not is_free(port))
    assert is_free(port)


def test_a_taken_port_is_noted_and_taken_over_once_it_is_free(
    bind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(media, "_AGAIN_SECONDS", 0.02)
    host, _, port = bind.rpartition(":")
    with socket.create_server((host, int(port))), caplog.at_level(logging.INFO):
        serving = running(media.serving)
        serving.__enter__()
        until(lambda: "speech is not served" in caplog.text)
    until(lambda: f"speech is served at http://{bind}" in caplog.text)
    assert requests.get(f"http://{bind}/{NAME}", timeout=5).content == SOUND
    serving.__exit__(None, None, None)


def test_without_an_address_nothing_is_served(settings: Settings) -> None:
    settings.SPEECH_BIND = ""

    async def tasks() -> int:
        async with media.serving():
            return len(asyncio.all_tasks())

    assert asyncio.run(tasks()) == 1


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"SPEECH_BIND": "8099"}, "SPEECH_BIND is host:port"),
        ({"SPEECH_BIND": "127.0.0.1:70000"}, "SPEECH_BIND is host:port"),
        ({"SPEECH_BIND": "0.0.0.0:8099"}, "SPEECH_URL is http://host:port"),
        ({"SPEECH_BIND": "127.0.0.1:8099", "SPEECH_URL": "ftp://media.example"}, "SPEECH_URL is http://host:port"),
        ({"SPEECH_BIND": "127.0.0.1:8099", "SPEECH_URL": "http://media.example/x"}, "SPEECH_URL is http://host:port"),
        ({"SPEECH_BIND": "127.0.0.1:8099", "SPEECH_FOLDER": "speech"}, "SPEECH_BIND needs SPEECH_FOLDER"),
        ({"SPEECH_BIND": "127.0.0.1:8099", "SPEECH_MEGABYTES": "0"}, "SPEECH_BIND needs SPEECH_FOLDER"),
        ({"SPEECH_VOICE": "anna"}, "SPEECH_VOICE is one of eSpeak NG's"),
        ({"SPEECH_PROGRAMS": '{"amy": "/usr/bin/speak"}'}, "SPEECH_PROGRAMS: amy has a language and a program"),
        ({"SPEECH_PROGRAMS": '{"Amy": {"language": "en", "program": ["/speak"]}}'}, "SPEECH_PROGRAMS: Amy is in small"),
        ({"SPEECH_PROGRAMS": '{"amy": {"language": "en", "program": "/speak"}}'}, "is a list of words"),
        ({"SPEECH_PROGRAMS": '{"amy": {"language": "en", "program": ["speak"]}}'}, "begins with a whole path"),
        ({"SPEECH_PROGRAMS": "amy"}, "SPEECH_PROGRAMS: Expecting value"),
    ],
)
def test_settings_that_cannot_be_meant_refuse_to_start(given: dict[str, str], complaint: str) -> None:
    ended = started(given)
    assert ended.returncode == 1
    assert complaint in ended.stderr


def test_the_engine_is_told_where_it_is_served_unless_it_finds_it_elsewhere() -> None:
    assert started({"SPEECH_BIND": "127.0.0.1:8099"}).stdout == "http://127.0.0.1:8099"
    elsewhere = {"SPEECH_BIND": "0.0.0.0:8099", "SPEECH_URL": "http://media.example:80"}
    assert started(elsewhere).stdout == "http://media.example:80"


def started(given: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Read the settings in a process of its own."""
    print_url = "from minivoice import settings; print(settings.SPEECH_URL, end='')"
    environment = {**os.environ, "SPEECH_FOLDER": "/var/cache/minivoice/speech", **given}
    return subprocess.run(
        [sys.executable, "-c", print_url], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
