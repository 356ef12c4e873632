"""The examples for integrators, run as they are: a process each, asked by the platform on the simulated network."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from minivoice.local.kept import free_port
from minivoice.local.stack import Platform
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, running, until

ROOT = Path(__file__).resolve().parent.parent.parent
FLOWS = ROOT / "examples" / "flows"
MOST_LINES = 25
PORT = free_port()

Hire = Callable[..., Integrator]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Platform]:
    """A platform that may ask the examples, whose port is inside."""
    allowed = f"{receiver.address},127.0.0.1:{PORT}"
    with running(tmp_path_factory.mktemp("state"), receiver, database="examples", OUTBOUND_ALLOWED=allowed) as platform:
        yield platform


@pytest.fixture(scope="module")
def platform_database() -> str:
    return "examples"


@contextmanager
def example(name: str, **environment: str) -> Iterator[Callable[[], list[str]]]:
    """Run an example; the block begins when it listens, and can ask for the lines that it has printed since."""
    # Read by its name: a descriptor that the two shared would have one place, and what the example writes while we read
    # would land where we are.
    with NamedTemporaryFile() as said:

        def lines() -> list[str]:
            return Path(said.name).read_text().splitlines()

        process = subprocess.Popen(
            [sys.executable, "-u", str(FLOWS / f"{name}.py")],
            env={**os.environ, "PORT": str(PORT), **environment},
            stdout=said,
        )
        try:
            until(lambda: "quit" in "".join(lines()), seconds=10, what="it listens")
            count = len(lines())
            yield lambda: lines()[count:]
        finally:
            process.terminate()
            process.wait(timeout=5)


def instructed(hire: Hire) -> Integrator:
    """A customer whose calls ask the example."""
    acme = hire()
    acme.application.answer_url = f"http://127.0.0.1:{PORT}/answer"
    acme.application.save()
    return acme


def legs(acme: Integrator, call_id: str) -> list[tuple[str, str]]:
    """Whom a call was connected to, and how that went."""
    found = acme.request("GET", f"/v1/calls?parent_call_id={call_id}").json()["data"]
    return [(leg["to"], leg["status"]) for leg in found]


def hung_up(acme: Integrator, call_id: str) -> dict[str, object]:
    acme.request("POST", f"/v1/calls/{call_id}/hangup")
    return acme.ended(call_id)


def started(acme: Integrator, call_id: str) -> list[str]:
    """The actions of a call so far."""
    lines = acme.request("GET", f"/v1/calls/{call_id}/events").json()["data"]
    return [line["data"]["action"] for line in lines if line["event"] == "action_started"]


@pytest.mark.parametrize("path", sorted(FLOWS.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_can_be_read_at_a_glance(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_the_menu_answers_a_choice(hire: Hire) -> None:
    acme = instructed(hire)
    with example("ivr"):
        call_id = acme.create("+15551230712").json()["id"]

        assert acme.ended(call_id)["end_reason"] == "hangup"
        assert started(acme, call_id) == ["gather", "redirect", "say", "hangup"]


def test_an_extension_is_put_through(hire: Hire) -> None:
    acme = instructed(hire)
    with example("gather_and_transfer"):
        call_id = acme.create("+15551230711").json()["id"]

        until(lambda: legs(acme, call_id) == [("+15551230111", "in_progress")], seconds=15, what="they talk")
        hung_up(acme, call_id)
        until(lambda: legs(acme, call_id) == [("+15551230111", "completed")], seconds=5, what="both ended")


def test_a_busy_mobile_phone_leads_to_a_message(hire: Hire) -> None:
    acme = instructed(hire)
    with example("call_forwarding", MOBILE="+15551230486"):
        call_id = acme.create("+15551230002").json()["id"]

        until(lambda: started(acme, call_id)[-1:] == ["record"], seconds=15, what="a message is taken")
        assert legs(acme, call_id) == [("+15551230486", "failed")]
        hung_up(acme, call_id)


def test_voicemail_prints_where_the_message_is(hire: Hire) -> None:
    acme = instructed(hire)
    acme.application.webhook_url = f"http://127.0.0.1:{PORT}/webhooks"
    acme.application.save()
    with example("voicemail") as printed:
        call_id = acme.create("+15551230002").json()["id"]
        until(lambda: "recording_started" in acme.timeline(call_id), seconds=15, what="a message is taken")
        hung_up(acme, call_id)
        until(lambda: "recording_completed" in acme.timeline(call_id), seconds=15, what="it is kept")

        ((caller, url),) = until(lambda: [line.split() for line in printed()], seconds=15, what="it is printed")
        assert (caller, url.endswith("/audio")) == ("+15551230001", True)
        audio = acme.request("GET", url.removeprefix(acme.base_url))
        assert audio.content.startswith(b"RIFF")


def test_a_conversation_is_recorded(hire: Hire) -> None:
    acme = instructed(hire)
    with example("record_call", AGENT="+15551230002"):
        call_id = acme.create("+15551230003").json()["id"]
        until(lambda: legs(acme, call_id) == [("+15551230002", "in_progress")], seconds=15, what="they talk")
        hung_up(acme, call_id)

        def recordings() -> list[str]:
            found = acme.request("GET", f"/v1/calls/{call_id}/recordings").json()["data"]
            return [recording["status"] for recording in found]

        until(lambda: recordings() == ["completed"], seconds=15, what="the recording is there")


def test_those_who_know_the_code_meet(hire: Hire) -> None:
    acme = instructed(hire)
    with example("conference_room", CODE="42"):
        calls = [acme.create("+15551230742").json()["id"] for _ in range(2)]
        stranger = acme.create("+15551230743").json()["id"]

        for call_id in calls:
            until(lambda it=call_id: "conference" in started(acme, it), seconds=15, what="one is in the room")
        for call_id in calls:
            assert '"42"' not in acme.request("GET", f"/v1/calls/{call_id}/events").text
            hung_up(acme, call_id)
        acme.ended(stranger)
        assert "conference" not in started(acme, stranger)


def test_a_campaign_calls_each_number_once(hire: Hire, tmp_path: Path) -> None:
    acme = hire(max_concurrent_calls=2)
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("+15551230901\n+15551230902\n+15551230901\n+1555bad\n")
    environment = {
        **os.environ,
        "MINIVOICE_KEY": acme.key,
        "MINIVOICE_URL": acme.base_url,
        "PYTHONPATH": str(ROOT / "clients" / "python"),
    }
    argv = [sys.executable, str(FLOWS / "campaign.py"), str(numbers)]

    runs = [subprocess.check_output(argv, env=environment, text=True, timeout=60).splitlines() for _ in range(2)]

    first, second, again, bad = (line.split() for line in runs[0])
    assert again == first
    assert second[0] == "+15551230902"
    assert bad == ["+1555bad", "invalid_request"]
    assert runs[1] == runs[0]
