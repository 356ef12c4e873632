"""What MiniVoice relies on of pushed trunks. Runs unchanged on every engine, but for what only SIP can show."""

import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

import pytest

from minivoice.local.carrier import Carrier
from minivoice.local.kept import free_port
from minivoice.local.supervisor import Supervisor
from telephony.engines.ari import Ari
from telephony.engines.ari_config import TrunkConfig
from telephony.engines.facts import Answer, CommandRefused, Kind
from tests.stillness import Stillness
from tests.telephony.engines.conftest import needs_asterisk
from tests.telephony.engines.listening import TRUNK, Ears, SimulatedEngine, answers, dial, order, until
from tests.telephony.engines.real import INSTALLATION, RealEngine
from tests.telephony.engines.sip import FarEnd, Reply, Request

Engine = SimulatedEngine | RealEngine
HOST = "127.0.0.31"  # a carrier's own address
ELSEWHERE = "127.0.0.32"


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture(scope="module")
def carriers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """SIPp at an address of its own: the ports of `open`, and of `demanding`, which wants acme's password."""
    if INSTALLATION is None:
        yield {"open": 5080, "demanding": 5081}
        return
    folder = tmp_path_factory.mktemp("carriers")
    supervisor = Supervisor(logs=folder / "logs", say=print)
    ports = {"open": free_port(), "demanding": free_port()}
    for index, (name, port) in enumerate(ports.items()):
        carrier = Carrier(
            name=f"pushed-{name}",
            installation=INSTALLATION,
            folder=folder,
            host=HOST,
            port=port,
            rtp_ports=(24000 + 1000 * index, 24999 + 1000 * index),
            by_info=True,
            is_demanding=name == "demanding",
        )
        supervisor.start(replace(carrier.process(), stop_signal=signal.SIGKILL))
    yield ports
    supervisor.stop()


@pytest.fixture
def pushed(engine: Engine) -> Iterator[None]:
    """Trunks that a test leaves behind are taken away."""
    yield
    for name in engine.ari.trunks.reachable():
        engine.ari.trunks.remove(name)


def config(name: str, port: int, **changes: object) -> TrunkConfig:
    usual = {"name": name, "host": HOST, "port": port, "address": HOST, "transport": "udp"}
    return TrunkConfig(**usual | changes)  # type: ignore[arg-type]


@pytest.mark.usefixtures("pushed")
def test_a_pushed_trunk_is_called_over_at_once(engine: Engine, carriers: dict[str, int], ears: Ears) -> None:
    trunk = config("trunk_1", carriers["open"])

    engine.ari.trunks.put(trunk, mark=f"run.{trunk.revision}")

    channel_id = dial(engine.ari, "+15551230901", trunk="trunk_1")
    assert ears.wait_for(channel_id, Kind.ENDED).answered_at is not None
    assert engine.ari.trunks.mark("trunk_1") == f"run.{trunk.revision}"


@pytest.mark.usefixtures("pushed")
def test_a_far_end_that_sends_no_sound_has_its_call_ended(
    engine: Engine, carriers: dict[str, int], ears: Ears, stillness: Stillness
) -> None:
    engine.ari.trunks.put(config("trunk_silent", carriers["open"], media_timeout_seconds=1), mark="m")

    channel_id = dial(engine.ari, "+15551230444", trunk="trunk_silent")

    ended = ears.wait_for(channel_id, Kind.ENDED)
    assert ended.answered_at is not None
    seconds = (ended.at - ended.answered_at).total_seconds()
    assert seconds > 0.9
    assert seconds - stillness.seconds(ended.answered_at, ended.at) < 2.5
    assert ears.kinds(channel_id)[-2:] == [Kind.MEDIA_LOST, Kind.ENDED]
    assert ended.cause == 44


@pytest.mark.usefixtures("pushed")
def test_a_trunk_that_was_taken_away_is_called_over_no_more(engine: Engine, carriers: dict[str, int]) -> None:
    engine.ari.trunks.put(config("trunk_2", carriers["open"]), mark="m")

    for _ in range(2):
        engine.ari.trunks.remove("trunk_2")

    assert order(engine.ari, "gone", "+15551230901", trunk="trunk_2") is Answer.REFUSED
    assert engine.ari.trunks.mark("trunk_2") == ""
    assert "trunk_2" not in engine.ari.trunks.reachable()


@pytest.mark.usefixtures("pushed")
def test_a_call_goes_on_when_its_trunk_is_taken_away(engine: Engine, carriers: dict[str, int], ears: Ears) -> None:
    engine.ari.trunks.put(config("trunk_3", carriers["open"]), mark="m")
    channel_id = dial(engine.ari, "+15551230903", trunk="trunk_3")
    ears.wait_for(channel_id, Kind.ENTERED)

    engine.ari.trunks.remove("trunk_3")

    ended = ears.wait_for(channel_id, Kind.ENDED)
    assert ended.cause in (0, 16)
    assert ended.answered_at is not None
    assert (ended.at - ended.answered_at).total_seconds() > 2.5


@pytest.mark.usefixtures("pushed")
def test_a_carrier_that_answers_is_told_from_one_that_does_not(engine: Engine, carriers: dict[str, int]) -> None:
    engine.ari.trunks.put(config("trunk_4", carriers["open"]), mark="m")
    until(lambda: engine.ari.trunks.reachable().get("trunk_4"), seconds=23)


@pytest.mark.usefixtures("pushed")
def test_what_the_engine_refuses_leaves_nothing_behind(engine: Engine, carriers: dict[str, int]) -> None:
    with pytest.raises(CommandRefused):
        engine.ari.trunks.put(config("trunk_5", carriers["open"], codecs=("nonsense",)), mark="m")
    assert engine.ari.trunks.mark("trunk_5") == ""
    assert "trunk_5" not in engine.ari.trunks.reachable()


def test_trunks_of_the_engines_own_files_stay(engine: Engine, ears: Ears) -> None:
    engine.ari.trunks.remove(TRUNK)
    engine.ari.hang_up(dial(engine.ari, "+15551230480"))


def test_a_restarted_engine_is_told_from_what_it_was(engine: Engine) -> None:
    before = engine.ari.trunks.started_at()
    assert engine.ari.trunks.started_at() == before
    engine.restart()
    until(lambda: answers(engine.ari))
    assert engine.ari.trunks.started_at() != before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "acme\r\nX: y"),
        ("password", "a\nb"),
        ("realm", "a\r\nb"),
        ("from_domain", "acme.example\r\nX: y"),
        ("from_domain", "acme.example;x"),
        ("host", "acme.example>\r\n"),
        ("host", "acme.example;lr"),
        ("address", "127.0.0.1;x"),
        ("inbound_ip", "0.0.0.0/0"),
        ("name", "a/b"),
    ],
)
def test_text_that_would_break_out_is_never_sent(field: str, value: str) -> None:
    ari = Ari("http://127.0.0.1:1/ari", "minivoice", "secret")  # nobody is there: a request would say so
    with pytest.raises(ValueError, match="not fit for the engine"):
        ari.trunks.put(config(**{"name": "t", "port": 5060, "username": "acme"} | {field: value}), mark="m")  # type: ignore[arg-type]


class TestOverSip:
    """What only a real engine with SIPp can show."""

    pytestmark = [needs_asterisk, pytest.mark.usefixtures("pushed")]

    @pytest.fixture
    def asterisk(self, engine: Engine) -> RealEngine:
        if not isinstance(engine, RealEngine):
            pytest.skip("SIP")
        return engine

    def test_the_right_password_is_taken(self, asterisk: RealEngine, carriers: dict[str, int], ears: Ears) -> None:
        trunk = config("digest", carriers["demanding"], username="acme", password="right!one")
        asterisk.ari.trunks.put(trunk, mark="m")
        channel_id = dial(asterisk.ari, "+15551230901", trunk="digest")
        assert ears.wait_for(channel_id, Kind.ENDED).answered_at is not None

    def test_a_wrong_password_ends_the_call_with_the_carriers_code(
        self, asterisk: RealEngine, carriers: dict[str, int], ears: Ears
    ) -> None:
        trunk = config("wrong", carriers["demanding"], username="acme", password="wrong")
        asterisk.ari.trunks.put(trunk, mark="m")
        channel_id = dial(asterisk.ari, "+15551230901", trunk="wrong")
        assert ears.wait_for(channel_id, Kind.ENDED).sip_code in (401, 403)

    def test_a_registration_is_told(self, asterisk: RealEngine, carriers: dict[str, int]) -> None:
        right = config("reg_right", carriers["demanding"], username="acme", password="right!one", registers=True)
        wrong = config("reg_wrong", carriers["demanding"], username="globex", password="wrong", registers=True)
        for trunk in (right, wrong):
            asterisk.ari.trunks.put(trunk, mark="m")

        until(lambda: (asterisk.ari.trunks.registered() or {}).get(right.client_uri), seconds=15)
        until(lambda: (asterisk.ari.trunks.registered() or {}).get(wrong.client_uri) is False, seconds=15)

    def test_a_silent_carrier_is_told(self, asterisk: RealEngine) -> None:
        asterisk.ari.trunks.put(config("silent_one", 9), mark="m")
        assert asterisk.ari.trunks.reachable()["silent_one"] is False

    def test_the_vetted_address_is_dialled_whatever_the_name_leads_to(
        self, asterisk: RealEngine, carriers: dict[str, int], ears: Ears
    ) -> None:
        trunk = config("named", carriers["open"], host="name.invalid")
        asterisk.ari.trunks.put(trunk, mark="m")
        channel_id = dial(asterisk.ari, "+15551230901", trunk="named")
        assert ears.wait_for(channel_id, Kind.ENDED).answered_at is not None

    @pytest.mark.parametrize("user", ["+15550009999", "PJSIP%2F+15550009999%40victim"])
    def test_a_carrier_cannot_have_a_call_dialled_elsewhere_or_over_another_trunk(
        self, asterisk: RealEngine, ears: Ears, user: str
    ) -> None:
        with Redirecting(user) as carrier:
            asterisk.ari.trunks.put(config("moved", carrier.port), mark="m")
            victim = config("victim", carrier.elsewhere_port, host=ELSEWHERE, address=ELSEWHERE)
            asterisk.ari.trunks.put(victim, mark="m")
            channel_id = dial(asterisk.ari, "+15551230002", trunk="moved")

            assert ears.wait_for(channel_id, Kind.ENDED).answered_at is None
            assert carrier.invited_elsewhere() == []
        assert {fact.channel_id for fact in ears.heard if fact.channel_id} == {channel_id}


class Redirecting(FarEnd):
    """A carrier that answers every call with a 302 to `user` at another host."""

    def __init__(self, user: str) -> None:
        super().__init__(host=HOST)
        self._elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._elsewhere.bind((ELSEWHERE, 0))
        self._elsewhere.settimeout(1)
        self.elsewhere_port: int = self._elsewhere.getsockname()[1]
        self._contact = f"Contact: <sip:{user}@{ELSEWHERE}:{self.elsewhere_port}>"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._elsewhere.close()

    def take(self, request: Request, reply: Reply) -> None:
        """Send calls elsewhere, and answer all else."""
        if request.method == "INVITE":
            reply(request.answer("302 Moved", self._contact))
        elif request.method != "ACK":
            reply(request.answer("200 OK"))

    def invited_elsewhere(self) -> list[bytes]:
        """The calls that came to the host that it named, until a second was silent."""
        heard = []
        with suppress(TimeoutError):
            while True:
                heard.append(self._elsewhere.recv(65536))
        return [request for request in heard if request.startswith(b"INVITE")]
