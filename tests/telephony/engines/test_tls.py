"""Trunks over TLS with SRTP, on a real Asterisk: certificates judged, keys agreed on, sound in both directions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telephony.engines.ari_config import TrunkConfig
from telephony.engines.facts import Kind
from tests.telephony.engines.certificates import Authority
from tests.telephony.engines.conftest import needs_asterisk
from tests.telephony.engines.humming import HUM, HummingPhone
from tests.telephony.engines.listening import Ears, dial, until_heard
from tests.telephony.engines.real import RealEngine
from tests.telephony.engines.secure import SecureCarrier
from tests.telephony.engines.srtp import Srtp

pytestmark = needs_asterisk

HOST, NUMBER, CARRIERS_HUM = "127.0.0.1", "+15551230002", 880


@pytest.fixture(scope="module")
def engine(asterisk: RealEngine) -> RealEngine:
    """The one that speaks SIP."""
    return asterisk


@contextmanager
def trunk_to(
    asterisk: RealEngine, certificate: Path, *, srtp: bool = True, has_keys: bool = True
) -> Iterator[SecureCarrier]:
    """A carrier with that certificate, and the trunk `secure` that leads there."""
    with SecureCarrier(certificate=certificate, hertz=CARRIERS_HUM, has_keys=has_keys) as carrier:
        trunk = TrunkConfig(name="secure", host=HOST, port=carrier.port, address=HOST, transport="tls", srtp=srtp)
        asterisk.ari.trunks.put(trunk, mark="m")
        yield carrier
        asterisk.ari.trunks.remove("secure")


def test_a_call_over_tls_is_sealed_and_heard_in_both_directions(asterisk: RealEngine, ears: Ears) -> None:
    with (
        trunk_to(asterisk, asterisk.authority.issue(HOST)) as carrier,
        HummingPhone() as phone,
    ):
        channel_id = dial(asterisk.ari, NUMBER, trunk="secure")
        ears.wait_for(channel_id, Kind.RINGING)
        ears.wait_for(channel_id, Kind.ENTERED)
        plain = TrunkConfig(name="plain", host=phone.host, port=phone.port, address=phone.host, transport="udp")
        asterisk.ari.trunks.put(plain, mark="m")
        other = dial(asterisk.ari, NUMBER, trunk="plain")
        ears.wait_for(other, Kind.ENTERED)
        asterisk.ari.bridges.create("secured")
        for member in (channel_id, other):
            asterisk.ari.bridges.add("secured", member)

        until_heard(carrier.heard, HUM)
        until_heard(phone.heard, CARRIERS_HUM)
        asterisk.ari.bridges.destroy("secured")
        for member in (channel_id, other):
            asterisk.ari.hang_up(member)
            ears.wait_for(member, Kind.ENDED)
        asterisk.ari.trunks.remove("plain")

    [invite] = carrier.invited
    assert invite.number == NUMBER
    assert "SIP/2.0/TLS" in invite.header("Via")
    assert "RTP/SAVP" in invite.body
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" in invite.body


def test_without_srtp_no_keys_are_told(asterisk: RealEngine, ears: Ears) -> None:
    with trunk_to(asterisk, asterisk.authority.issue(HOST), srtp=False) as carrier:
        channel_id = dial(asterisk.ari, NUMBER, trunk="secure")
        ears.wait_for(channel_id, Kind.ENTERED)
        asterisk.ari.hang_up(channel_id)
        ears.wait_for(channel_id, Kind.ENDED)
    assert ("RTP/AVP" in carrier.invited[0].body, "a=crypto" in carrier.invited[0].body) == (True, False)


def test_a_carrier_that_answers_without_keys_hears_nothing(asterisk: RealEngine, ears: Ears) -> None:
    with trunk_to(asterisk, asterisk.authority.issue(HOST), has_keys=False) as carrier:
        channel_id = dial(asterisk.ari, NUMBER, trunk="secure")
        ears.wait_for(channel_id, Kind.ENTERED)
        asterisk.ari.play(channel_id, playback_id="clear", media=["sound:hello-world"])
        ears.wait_for(channel_id, Kind.PLAYED)
        assert len(carrier.heard()) == 0
        asterisk.ari.hang_up(channel_id)
        ears.wait_for(channel_id, Kind.ENDED)


@pytest.mark.parametrize("wrong", ["another host's", "of an authority that nobody trusts"])
def test_a_carrier_with_a_wrong_certificate_is_told_nothing(
    asterisk: RealEngine, ears: Ears, tmp_path: Path, wrong: str
) -> None:
    authority = asterisk.authority if wrong == "another host's" else Authority(tmp_path)
    certificate = authority.issue("elsewhere.example" if wrong == "another host's" else HOST)
    with trunk_to(asterisk, certificate) as carrier:
        channel_id = dial(asterisk.ari, NUMBER, trunk="secure")

        ended = ears.wait_for(channel_id, Kind.ENDED)

        assert ended.answered_at is None
        assert Kind.RINGING not in ears.kinds(channel_id)
        assert carrier.asked == []
        assert asterisk.ari.trunks.reachable()["secure"] is False
    assert (ended.sip_code, ended.cause) == (503, 34)


def test_a_seal_is_that_of_its_key_alone() -> None:
    packet = bytes(range(100))
    sealed = Srtp()
    assert Srtp(sealed.inline).unseal(sealed.seal(packet)) == packet
    with pytest.raises(ValueError, match="not sealed"):
        Srtp().unseal(sealed.seal(packet))
