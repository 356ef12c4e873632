"""accept: `POST /v1/calls`, complete, to the row and the nudge, against a floor of bare SQL in the same tables."""

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import clients, cpu, results, world
from bench.plan import Plan
from bench.stack import Stack

HERE = Path(__file__).resolve().parent
GOAL_OF_FLOOR = 0.30
GOAL_TIMES_PEER = 3.0
PEER_OF_FLOOR = 0.10  # jambonz-api-server's create, measured outside this repository on two shared cores
PEER_P99_MS = 412.0  # its best at PEER_CONNECTIONS
PEER_CONNECTIONS = 64
WARM_UP_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of a client: what it achieved a second, and CPU milliseconds for one by process."""

    rate: float
    cpu_ms: dict[str, float]
    others_cores: float  # what everything else on the machine used meanwhile; it should be nearly nothing
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when an answer or a row is not as it must be."""
    bench = Accept(plan, stack)
    bench.prepare()
    rounds = [bench.round(number) for number in range(1, plan.rounds + 1)]
    print(f"At {PEER_CONNECTIONS} connections ...")
    crowded = bench.accept(connections=PEER_CONNECTIONS)
    _print(rounds, crowded)
    ratio = median(accept.rate / floor.rate for floor, accept in rounds)
    return {
        "plan": asdict(plan),
        "of_floor": ratio,
        "times_peer": ratio / PEER_OF_FLOOR,
        "crowded_p99_ms": crowded.p99_ms,
        "crowded": asdict(crowded),
        "rounds": [{"floor": asdict(floor), "accept": asdict(accept)} for floor, accept in rounds],
    }


class Accept:
    """The two loads on one world."""

    def __init__(self, plan: Plan, stack: Stack) -> None:
        self._plan, self._stack = plan, stack
        self.callers = stack.state / "callers"  # a line about each customer

    def prepare(self) -> None:
        """Make the world, start the web process, and warm both up."""
        plan = self._plan
        print(f"Making {plan.customers:,} customers and {plan.rates:,} rates ...")
        world.make(customers=plan.customers, rates=plan.rates, callers_file=self.callers)
        self._stack.start(
            "web", variables={"WAITING_PLACES": "0"}
        )  # nobody dials: a create ends at its row and the nudge
        print("Warming up ...")
        self._post(self.callers, connections=plan.connections, seconds=min(WARM_UP_SECONDS, plan.seconds))
        world.calls_at_rest()
        world.settle()

    def round(self, number: int) -> tuple[Load, Load]:
        """Measure the floor, then the platform."""
        floor = self._floor()
        print(f"Round {number} of {self._plan.rounds}: floor {floor.rate:,.0f}/s", end="", flush=True)
        accept = self.accept(connections=self._plan.connections)
        print(f", accept {accept.rate:,.0f}/s")
        return floor, accept

    def accept(self, *, connections: int, callers: Path | None = None) -> Load:
        """Measure the platform, from empty tables, and let the auditor judge what it left there.

        `callers` has a line about each customer who calls; without it all of them do.
        """
        world.empty()
        meter = cpu.Meter(self._stack.pids)
        answers = self._post(callers or self.callers, connections=connections, seconds=self._plan.seconds)
        meter.stop()
        accepted = answers.statuses["201"]
        written = world.calls_at_rest()
        if not accepted <= written <= accepted + connections:
            raise clients.Failed(f"{accepted} calls were answered 201, {written} are in the database")
        if broken := world.broken_promises():
            raise clients.Failed(f"the audit finds broken: {'; '.join(broken)}")
        return Load(
            rate=accepted / answers.seconds,
            cpu_ms=meter.per_item_ms(written),
            others_cores=meter.others_cores,
            p50_ms=answers.p50_ms,
            p99_ms=answers.p99_ms,
        )

    def _floor(self) -> Load:
        world.empty()
        meter = cpu.Meter(self._stack.pids)
        rate = clients.pgbench(
            self._stack.pgbench(),
            script=HERE / "floor.sql",
            variables={"customers": self._plan.customers, "rates": self._plan.rates},
            connections=self._plan.connections,
            seconds=self._plan.seconds,
        )
        meter.stop()
        return Load(rate=rate, cpu_ms=meter.per_item_ms(world.calls()), others_cores=meter.others_cores)

    def _post(self, callers: Path, *, connections: int, seconds: int) -> clients.Answers:
        answers = clients.wrk(
            url=f"{self._stack.url}/v1/calls",
            script=HERE / "accept.lua",
            arguments=[str(callers), str(self._plan.rates)],
            connections=connections,
            seconds=seconds,
        )
        if answers.broken or set(answers.statuses) != {"201"}:
            raise clients.Failed(f"not every answer was 201: {answers}")
        return answers


def _print(rounds: list[tuple[Load, Load]], crowded: Load) -> None:
    heads = ("", "floor/s", "accept/s", "of floor", "x jambonz", "p50 ms", "p99 ms", "others")
    rows = [_row(str(number), floor, accept) for number, (floor, accept) in enumerate(rounds, start=1)]
    ratio = median(accept.rate / floor.rate for floor, accept in rounds)
    goals = [
        ("median share of the floor", f"{ratio:.1%}", f"{GOAL_OF_FLOOR:.0%}"),
        ("x jambonz's create", f"{ratio / PEER_OF_FLOOR:.1f}", f"{GOAL_TIMES_PEER:.1f}"),
        (f"p99 ms at {PEER_CONNECTIONS} connections", f"{crowded.p99_ms:.0f}", f"{PEER_P99_MS / 3:.0f}"),
    ]
    floors, accepts = zip(*((floor.cpu_ms, accept.cpu_ms) for floor, accept in rounds), strict=True)
    print(f"\n{results.table(heads, rows)}\n")
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    print(f"{results.costs({'floor': floors, 'accept': accepts})}\n")


def _row(name: str, floor: Load, accept: Load) -> tuple[str, ...]:
    ratio = accept.rate / floor.rate
    figures = (f"{floor.rate:,.0f}", f"{accept.rate:,.0f}", f"{ratio:.1%}", f"{ratio / PEER_OF_FLOOR:.1f}")
    others = f"{max(floor.others_cores, accept.others_cores):.1f} cores"
    return (name, *figures, f"{accept.p50_ms:.1f}", f"{accept.p99_ms:.1f}", others)
