"""Tests about the words: what README, docs and .env.example say is what the code does."""

import ast
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import environ
import pytest
import requests

from applications.views import APPLICATION_FORM
from billing import rating
from billing.admin.sheets import MOST_BYTES
from calls import idempotency
from calls.admin import sentences, spelling
from calls.flow import actions, document
from calls.models import WAYS, Reason
from calls.views import CALL_FORM, FILTER_FORM
from minivoice import api, clock, errors, inputs
from minivoice.openapi.document import operations
from telephony.simulator import callees
from tests.conftest import Actor
from tests.timelines import written_kinds
from webhooks import deliveries, signing
from webhooks.models import WebhookEvent

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "clients/python/README.md", *sorted((ROOT / "docs").glob("*.md"))]
SECRET = "a-long-random-secret"
BODY = '{"event":"call.created","name":"Zoë"}'.encode()


def page(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    """Return the code blocks of a page that are in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE)


def rows(name: str, heading: str, *, head: str = "") -> list[list[str]]:
    """Return the rows, as cells without backticks, of the first table below a heading that begins with `head`."""
    _, _, below = page(name).partition(f"# {heading}\n")
    table = re.search(rf"^\| ?{head}.*\|\n\|[-|]+\|\n((?:\|.*\|\n?)+)", below, re.MULTILINE)
    assert table, f"{name} has no table below {heading}"
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


# Links and commands


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_leads_to_a_file_and_its_heading(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        target, _, anchor = link.partition("#")
        if not re.match(r"[a-z]+:", target):
            file = path.parent / target if target else path
            assert file.is_file(), link
            assert not anchor or anchor in headings(file), link


def headings(file: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    found = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_make_target_that_is_named_exists_and_the_other_way_round() -> None:
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`)make ([a-z]+)", page("README.md"), re.MULTILINE))
    assert named == targets


def test_every_folder_of_the_map_exists() -> None:
    folders = [cells[0] for cells in rows("README.md", "Where things are")]
    assert len(folders) > 5
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


# Settings


def read_by_settings() -> dict[str, tuple[str, Any]]:
    """Return what settings.py reads from the environment: name → the kind of value, its default if it has one."""
    found = {}
    for node in ast.walk(ast.parse(page("minivoice/settings.py"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env.") and node.args:
            kind, name = ast.unparse(node.func).removeprefix("env."), ast.literal_eval(node.args[0])
            found[name] = kind, next((ast.literal_eval(word.value) for word in node.keywords), None)
    return found


def offered() -> dict[str, tuple[str, bool]]:
    """Return the variables of .env.example: name → value, and whether it is optional."""
    lines = re.findall(r"^(#?)([A-Z_]+)=(.*)$", page(".env.example"), re.MULTILINE)
    return {name: (value, bool(optional)) for optional, name, value in lines}


def test_the_example_environment_names_every_variable_and_no_other() -> None:
    runner = set(re.findall(r'environ\.get\("([A-Z_]+)"\)', page("minivoice/local/run.py")))
    composed = set(re.findall(r"\$\{([A-Z_]+)", page("compose.yaml")))
    assert runner
    assert composed
    assert set(offered()) == set(read_by_settings()) | runner | composed


def test_the_example_environment_has_a_line_of_words_for_each_variable() -> None:
    assert len(re.findall(r"^# \S.*\n#?[A-Z_]+=", page(".env.example"), re.MULTILINE)) == len(offered())


def test_the_example_environment_tells_the_true_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (kind, default) in read_by_settings().items():
        value, is_optional = offered()[name]
        assert is_optional == (default is not None), name
        if is_optional:
            monkeypatch.setenv(name, value)
            assert getattr(environ.Env(), kind)(name) == default, name


# Errors, words and figures


def test_the_table_of_errors_is_the_catalogue() -> None:
    told = {code: int(status) for status, code, *_ in rows("docs/errors.md", "Codes")}
    assert told == {code: error.status_code for code, error in errors.CATALOGUE.items()}


def test_every_error_that_can_be_met_on_purpose_exists() -> None:
    told = {code for codes, _ in rows("docs/testing.md", "Errors on purpose") for code in codes.split(", ")}
    assert told < set(errors.CATALOGUE)


def test_the_number_without_a_price_is_one() -> None:
    told = re.search(r"call `(\+[0-9]+)`: the demo has no price", page("docs/testing.md"))
    prefixes = [line.partition(",")[0] for line in page("calls/demo/rates.csv").splitlines()[1:]]
    assert told
    assert inputs.is_e164(told[1])
    assert not any(told[1].startswith(f"+{prefix}") for prefix in prefixes)


def test_the_table_of_endpoints_is_the_api() -> None:
    told = set()
    for cells in rows("docs/quick-start.md", "The first call", head="endpoint"):
        verbs: list[str] = []
        for each in cells[0].split(", "):
            *verb, path = each.split(" ")
            verbs += verb or [path]
            if verb:
                told |= {(each, re.sub(":[a-z]+", "{}", path)) for each in verbs}
                verbs = []
    assert told == {(verb.upper(), re.sub("{.*?}", "{}", path)) for path, _, verb, _ in operations()}


def test_the_life_of_an_idempotency_key_is_told() -> None:
    assert f"within {idempotency.LIFE.total_seconds() / 3600:.0f} hours" in page("docs/idempotency.md")


def test_the_table_of_statuses_is_the_state_machine() -> None:
    told = {}
    for names, ways in rows("docs/quick-start.md", "Statuses"):
        for name in names.split(", "):
            told[name] = set(re.findall(r"[a-z_]+", ways)) & {status.value for status in WAYS}
    assert told == {status.value: {way.value for way in ways} for status, ways in WAYS.items()}


def test_the_table_of_the_timeline_has_every_line() -> None:
    told = [kind for kinds, _ in rows("docs/quick-start.md", "The timeline") for kind in kinds.split(", ")]
    assert sorted(told) == sorted(written_kinds() | {"trunk_tested"})


def test_every_filter_of_the_list_of_calls_is_told() -> None:
    told = re.search(r"^\| `GET /v1/calls` \|(.*)\|$", page("docs/quick-start.md"), re.MULTILINE)
    assert told
    assert set(re.findall(r"`(\w+)`", told[1])) == FILTER_FORM.fields.keys()


def test_the_proxy_lets_the_largest_rate_sheet_through() -> None:
    (megabytes,) = re.findall(r"location /admin/.*?client_max_body_size (\d+)m", page("docs/operations.md"), re.DOTALL)
    assert int(megabytes) * 1024 * 1024 > MOST_BYTES


def test_every_end_reason_has_the_sentence_that_the_console_shows() -> None:
    told = {reason: sentence for reason, sentence, _ in rows("docs/support.md", "Why a call ended")}
    assert set(told) == set(Reason.values)
    for reason, sentence in sentences._ENDED.items():
        assert told[reason] == sentence


def test_the_spellings_of_a_number_that_support_may_type_find_it() -> None:
    in_the_guide = next(typed for what, typed in rows("docs/support.md", "Finding a call") if "spelling" in what)
    typed = [re.sub(r" \(ten digits.*", "", written) for written in in_the_guide.split(", ")]
    assert len(typed) == 3
    assert all("+15551230742" in spelling.spellings(written) for written in typed)


def test_every_action_and_magic_number_is_told() -> None:
    named = {name for cells in rows("docs/call-control.md", "Actions") for name in re.findall(r"\w+", cells[0])}
    assert named == set(actions.FORMS)
    told = {cells[0] for cells in rows("docs/testing.md", "Magic numbers")}
    assert told == {*callees._BY_END, "700 to 799", "800 to 899", "900 to 999", "anything else"}


def test_the_retry_schedule_is_told() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    told = re.search(r"after\n((?:\s*\d+ (?:s|min|h),)+)", page("docs/webhooks.md"))
    assert told
    seconds = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)", told[1])]
    assert tuple(seconds) == deliveries.RETRY_SECONDS


def test_the_table_of_billed_seconds_is_how_calls_are_rated() -> None:
    head = re.search(r"^\| d \|(.*)\|$", page("docs/finance.md"), re.MULTILINE)
    assert head
    prices = [price(increments.strip()) for increments in head[1].split("|")]
    table = rows("docs/finance.md", "What a call costs")
    assert len(table) == 7
    for seconds, *billed in table:
        assert [rating.billed_seconds(each, int(seconds)) for each in prices] == [int(cell) for cell in billed]
    assert rating.charge(price("6/6"), 31).amount == Decimal("0.0051")


def price(increments: str) -> rating.Price:
    initial, subsequent = increments.split("/")
    return rating.Price(Decimal("0.0085"), Decimal(0), int(initial), int(subsequent), Decimal(0))


# Examples in JSON


def test_every_request_of_the_quick_start_is_accepted() -> None:
    bodies = [json.loads(text) for name in ("README.md", "docs/quick-start.md") for text in sent(name)]
    forms = [APPLICATION_FORM if "name" in body else CALL_FORM for body in bodies]
    assert forms.count(CALL_FORM) == 2
    assert forms.count(APPLICATION_FORM) == 1
    for form, body in zip(forms, bodies, strict=True):
        api.clean(form, body)


def sent(name: str) -> list[str]:
    """Return the bodies of a page's curls, but for the one that speaks to a program on the reader's machine."""
    return [body.replace("127.0.0.1:9000", "example.com") for body in re.findall(r"-d '(\{.*?\})'", page(name))]


def test_every_action_is_shown_in_a_document_that_is_accepted() -> None:
    shown = {action.name for text in documents("docs/call-control.md") for action in document.parse(text.encode())}
    assert shown == set(actions.FORMS)
    for text in documents("docs/quick-start.md"):
        assert document.parse(text.encode())


def documents(name: str) -> list[str]:
    return [text for text in blocks(name, "json") if '"actions"' in text]


@pytest.mark.django_db
@pytest.mark.usefixtures("nobody_dials")
def test_the_call_and_the_event_have_the_fields_that_are_documented(acme: Actor, call_body: dict[str, Any]) -> None:
    call = acme.client().post("/v1/calls", call_body, format="json").json()
    event = json.loads(bytes(WebhookEvent.objects.get().body))

    documented_call = json.loads(blocks("docs/quick-start.md", "json")[0])
    documented_event = json.loads(blocks("docs/webhooks.md", "json")[0])
    assert list(call) == list(documented_call)
    assert list(event) == list(documented_event)
    assert list(event["call"]) == list(documented_event["call"])


# Examples in code: genuine requests pass, forged, old and unsigned ones do not


def headers(*, age: timedelta = timedelta(0)) -> dict[str, str]:
    return signing.headers(
        secret=SECRET,
        event_id="evt_20260529T120000.123456789",
        event="call.created",
        delivery_id="whd_20260529T120000.123456789",
        attempt=1,
        body=BODY,
        now=clock.now() - age,
    )


def by_hand() -> Callable[..., bool]:
    return python(blocks("docs/webhooks.md", "python")[0])["is_genuine"]  # type: ignore[no-any-return]


def by_the_standard() -> Callable[..., bool]:
    return python(blocks("docs/webhooks.md", "python")[1])["is_genuine_by_the_standard"]  # type: ignore[no-any-return]


def in_node() -> Callable[..., bool]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    ask = "; const [secret, headers, body] = JSON.parse(process.argv[1]);"
    ask += "console.log(isGenuine(secret, headers, Buffer.from(body, 'hex')))"

    def is_genuine(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        given = json.dumps([secret, {name.lower(): value for name, value in headers.items()}, body.hex()])
        script = blocks("docs/webhooks.md", "javascript")[0] + ask
        done = subprocess.run([program, "-e", script, given], capture_output=True, text=True, check=True)
        return {"true": True, "false": False}[done.stdout.strip()]

    return is_genuine


def python(source: str) -> dict[str, Any]:
    """Run a Python block of a page; return what it defines."""
    defined: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "example", "exec"), defined)  # noqa: S102  our own documentation
    return defined


@pytest.mark.parametrize("example", [by_hand, by_the_standard, in_node])
def test_the_verifier_accepts_what_is_genuine_and_nothing_else(example: Callable[[], Callable[..., bool]]) -> None:
    is_genuine = example()

    assert is_genuine(SECRET, headers(), BODY)
    assert not is_genuine(SECRET, headers(), BODY.replace(b"created", b"crested"))
    assert not is_genuine("another-long-secret", headers(), BODY)
    assert not is_genuine(SECRET, headers(age=timedelta(minutes=6)), BODY)
    assert not is_genuine(SECRET, {}, BODY)


def test_the_application_of_the_quick_start_answers_what_is_genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    example = python(blocks("docs/quick-start.md", "python")[0])
    with serving(example["Reminders"]) as base_url:
        status, body = post(f"{base_url}/answer", b'{"call_id": "call_1"}')
        assert status == 200
        assert [action.name for action in document.parse(body.replace(base_url.encode(), b"https://example.com"))] == [
            "gather",
            "redirect",
        ]
        status, body = post(f"{base_url}/pressed", b'{"digits": "4"}')
        assert document.parse(body)[0] == document.Action("say", {"text": "You pressed 4."})
        event = b'{"event": "call.created", "sequence": 1, "call": {"id": "call_1"}}'
        assert post(f"{base_url}/webhooks", event) == (204, b"")
        assert post(f"{base_url}/answer", b"{}", secret="a-forged-secret")[0] == 400


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    """Serve an example on a free port of loopback; give its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def post(url: str, body: bytes, *, secret: str = SECRET) -> tuple[int, bytes]:
    """POST a body, signed as MiniVoice signs; return status and body of the answer."""
    signature = signing.request_headers(secret=secret, body=body, now=clock.now())
    answer = requests.post(url, data=body, headers=signature, timeout=5)
    return answer.status_code, answer.content
