"""Numbers are masked wherever they stand, and nothing else is."""

import pytest

from minivoice import masking


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+15551230742", "+1555•••0742"),
        ("5551230742", "5551•••742"),
        ("+4930123456", "+4930•••456"),
        ("+1234567", "+12•••67"),
        ("1234567", "12•••67"),
        ("+123456789012345", "+1234•••2345"),
        ("sip:+15551230742@pbx.example", "sip:+1555•••0742@pbx.example"),
        ("sip:alice@pbx.example", "sip:a•••@pbx.example"),
        ("SIPS:bob@pbx.example;transport=tls", "SIPS:b•••@pbx.example;transport=tls"),
        ("calls from +15551230742 to +15551230001 are refused", "calls from +1555•••0742 to +1555•••0001 are refused"),
        ('{"from": "15551230742", "to": "+15551230742"}', '{"from": "1555•••0742", "to": "+1555•••0742"}'),
        ("https://acme.example/a?to=%2B15551230742&x=1", "https://acme.example/a?to=%2B1555•••0742&x=1"),
        ("https://acme.example/a?to=15551230742", "https://acme.example/a?to=1555•••0742"),
        ("the number is 15551230742.", "the number is 1555•••0742."),
        ("rang +1 (555) 123-0742 twice", "rang +1555•••0742 twice"),
        ("+49 30 1234567, then +1.555.123.0742.", "+4930•••4567, then +1555•••0742."),
        ("+44 (0)20 7946 0000", "+4402•••0000"),
        ("+1\u00a0555\u00a0123\u00a00742", "+1555•••0742"),
        ("+49301 2345678", "+4930•••5678"),
        ("on +1 555 123 0742 2026-05-29 12:00", "on +1555•••0742 2026-05-29 12:00"),
        ("(555) 123-0742 says no", "5551•••742 says no"),
        ("555-123-0742, 555.123.0742", "5551•••742, 5551•••742"),
        ("030 123 45 67 89", "0301•••6789"),
        ("0612-34-56-78", "0612•••678"),
        ("https://acme.example/a?to=555%20123%200742", "https://acme.example/a?to=5551•••742"),
        ("tel:+1-555-123-0742", "tel:+1555•••0742"),
        ("tel:5551230742;ext=7", "tel:5551•••742;ext=7"),
        ("tel:555-123-0742", "tel:5551•••742"),
        ("sip:15551230742", "sip:1555•••0742"),
        ("sip:+15551230742;user=phone", "sip:+1555•••0742;user=phone"),
        ("https://acme.example/a?to=sip%3Aalice%40pbx.example", "https://acme.example/a?to=sip%3Aa•••%40pbx.example"),
    ],
)
def test_masks_a_number_in_any_place(text: str, shown: str) -> None:
    assert masking.mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("anonymous", "911", "123456", "call_20260529T120000.786004013", "2026-05-29 12:00:00.123456", "12.345678"),
        *("3f2b8c1e-1234-5678-9abc-123456789012", "1764000000.123", "req_12345678901", "", "sip.example"),
        *(
            "2026-05-29 2026-06-01",
            "30 2026-05-29",
            "2026-05 to 2026-06",
            "192.168.100.200",
            "30/6, 60 s",
            "sip:pbx.example",
        ),
        *("1 2 3 4 5 6 7 8 9 0", "1,234,567,890", "0.012 USD, 60/60", "from 10.00 to 7.50", "12:30-13:45"),
        *('{"duration_ms": 1234567, "prefix": "1555"}', "https://acme.example/files/12345678.wav"),
    ],
)
def test_leaves_everything_else(text: str) -> None:
    assert masking.mask(text) == text


def test_hides_three_digits_at_least() -> None:
    for digits in range(7, 16):
        number = "123456789012345"[:digits]
        assert len(masking.mask(number).replace("•••", "")) <= min(8, digits - 3)


def test_nobody_known_sees_no_number() -> None:
    assert not masking.may_see()
