"""`python -m bench [NAME]`: run the benchmarks, or one; print a table each and write `bench/results.json`."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

import django

from bench import results
from bench.clients import Failed, find_wrk
from bench.plan import Plan
from bench.stack import Stack
from minivoice.local.lock import InUse
from minivoice.local.supervisor import StartFailed

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "accept",
    "dialing",
    "hot",
    "deliver",
    "settle",
    "calls",
    "rates",
    "import",
    "memory",
    "lists",
    "engine",
)  # each is a module of this package with a function `run`
_MODULES = {"import": "rates_import"}  # where the name is a word of the language


def main() -> int:
    """Run what the command line names; return the exit status."""
    arguments = _arguments()
    if arguments.benchmark is None:  # each on servers of its own: what one leaves would be in the next one's way
        return max(subprocess.call([sys.executable, "-m", "bench", name, *sys.argv[1:]]) for name in BENCHMARKS)
    plan = Plan(**{name: getattr(arguments, name) for name in Plan.__dataclass_fields__})
    try:
        find_wrk()
        with Stack(state=arguments.state) as stack:
            django.setup()
            module = f"bench.{_MODULES.get(arguments.benchmark, arguments.benchmark)}"
            benchmark = importlib.import_module(module)  # only now: it needs Django's settings
            results.write(arguments.results, arguments.benchmark, benchmark.run(plan, stack))
    except (Failed, InUse, StartFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"Written to {arguments.results}.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("benchmark", nargs="?", choices=BENCHMARKS, help="all by default")
    for name, field in Plan.__dataclass_fields__.items():
        parser.add_argument(f"--{name}", type=int, default=field.default)
    parser.add_argument("--state", type=Path, default=HERE / ".state", help="folder for the servers, made anew")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    return parser.parse_args()


sys.exit(main())
