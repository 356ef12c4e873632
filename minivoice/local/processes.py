"""The processes of the platform: their commands, and how each says that it is ready."""

import http.client
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import redis

from minivoice.local.network import SILENT_TRUNK
from minivoice.local.supervisor import Process

ROOT = Path(__file__).resolve().parent.parent.parent
_CELERY = (sys.executable, "-m", "celery", "-A", "minivoice")
_WORKERS = {"dial": 2, "webhooks": 2, "work": 2}  # queue: processes; three, so that none can block another
_GRANIAN = (
    *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--workers", "1"),
    *("--blocking-threads", "16", "--no-ws", "--log-level", "warning", "--workers-kill-timeout", "5"),
)


def manage(command: str, *arguments: str, environment: Mapping[str, str]) -> Process:
    """A command of `manage.py`, named after itself."""
    return _process(command, [sys.executable, "manage.py", command, *arguments], environment)


def simulator(*, port: int, environment: Mapping[str, str]) -> Process:
    """The simulated network, listening on `port`."""
    argv = [sys.executable, "manage.py", "simulator", "--port", str(port), "--silent", SILENT_TRUNK]
    return _process("simulator", argv, environment, ready=lambda: answers(port, "/simulator/health"))


def platform(*, web: int, playground: int, beat: Path, environment: Mapping[str, str]) -> list[Process]:
    """All that starts once there is a seed; `web` and `playground` are ports, `beat` its schedule's file."""
    beat_argv = [*_CELERY, "beat", "-s", str(beat), "--pidfile=", "-l", "INFO"]
    playground_argv = [sys.executable, "examples/playground/app.py", "--port", str(playground)]
    return [
        _process(
            "web",
            [*_GRANIAN, "--port", str(web), "minivoice.wsgi:application"],
            environment,
            ready=lambda: answers(web, "/healthz"),
        ),
        *(_worker(queue, environment) for queue in _WORKERS),
        _process("beat", beat_argv, environment),
        manage("switchboard", environment=environment),
        _process("playground", playground_argv, environment, ready=lambda: answers(playground, "/health")),
    ]


def answers(port: int, path: str) -> bool:
    """Whether a GET of `path` on `port` of loopback answers 200 within two seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _worker(queue: str, environment: Mapping[str, str]) -> Process:
    options = ["-Q", queue, "-n", f"{queue}@%h", "-c", str(_WORKERS[queue])]
    argv = [*_CELERY, "worker", *options, "--without-gossip", "--without-mingle", "-l", "INFO"]
    return _process(queue, argv, environment, ready=lambda: _has_consumer(environment["REDIS_URL"], queue))


def _has_consumer(redis_url: str, queue: str) -> bool:
    """Whether a worker has bound `queue`: kombu notes it under this key, and our Valkey starts empty."""
    try:
        with redis.Redis.from_url(redis_url, socket_timeout=2) as client:
            return bool(client.exists(f"_kombu.binding.{queue}"))
    except redis.RedisError:
        return False


def _process(
    name: str, argv: list[str], environment: Mapping[str, str], ready: Callable[[], bool] | None = None
) -> Process:
    return Process(name=name, argv=argv, environment=environment, folder=ROOT, ready=ready)
