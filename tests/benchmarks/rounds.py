"""Rounds: the same requests to three servers in turn, and what came of them as a table.

The first is the limit (`limit`), the second the obvious way (`obvious`), the third the registry. All have one worker, on the
same core, and the load is on another. Machines swing from minute to minute: only what servers do in the same round is compared.
Where others use the machine too, what a server makes of a second of its core says more: "by CPU" in the table.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path

from tests.benchmarks import contests, corpus, limit, load, obvious, processes
from tests.benchmarks.contests import CONTESTS, KEY, LINES, MOST, About, Contest, patches
from tests.benchmarks.load import Answered, Load, Request, Tool, ask_once
from tests.benchmarks.processes import Process, cpu, pinned, scratch, serving
from tests.benchmarks.registries import Place
from tests.benchmarks.tables import Say, mark, row

SERVERS = ("limit", "obvious", "concord")
HEAD = (
    "HTTP: requests/s", *SERVERS, "% of limit", "by CPU", "x obvious", "p50 ms", "p99 ms", "limit's p99", "errors", "target",
)  # fmt: skip
ROWS = {"sqlite": 10_000, "postgresql": 15_000}
"""So many rows a second an import must take."""
NEARLY = 0.8
"""So many of the writes beside a load must have been answered when it ends."""
SPREAD = 5
"""The slowest hundredth of all answers may take so many times what the median takes."""


@dataclass(frozen=True, slots=True)
class Bout:
    """How long it is measured, and with what: `rows` are those of the file that is imported, `settings` those of the registry
    under test, as NAME=VALUE."""

    rounds: int = 3
    seconds: float = 2
    warming: float = 1
    rows: int = 100_000
    contests: Sequence[Contest] = CONTESTS
    settings: Sequence[str] = ()
    tool: Tool = field(default_factory=load.tool)


THOROUGH = Bout()


@dataclass(frozen=True, slots=True)
class Arena:
    """Where it happens: the kind of database, the registry and the obvious way, a folder for what is passed about, and what
    can be asked."""

    kind: str
    servers: dict[str, Process]
    folder: Path
    about: About


def compete(place: Place, name: str, say: Say, bout: Bout) -> Iterator[bool]:
    """Of each row whether it came as near to the limit as it must; the rows are printed on the way. `name`: the registry."""
    with _arena(place, name, bout) as arena:
        say("\n" + row(*HEAD))
        say(row(":--", *["--:"] * (len(HEAD) - 2), ":--"))
        for contest in bout.contests:
            yield _told(contest.name, _contest(arena, contest, bout), _wanted(contest, arena.kind), say)
        yield _told(f"import of {bout.rows:,} rows: rows/s", _import(arena, bout), {"rows": ROWS[arena.kind]}, say)
        yield _told("export of all as NDJSON: rows/s", _export(arena, bout), {}, say)


@contextmanager
def _arena(place: Place, name: str, bout: Bout) -> Iterator[Arena]:
    """Both applications, each on a copy of the registry that it may change."""
    core, _ = processes.cores()
    with place.copied(name, "benchmark_http") as url, place.blank("benchmark_obvious") as theirs, scratch() as folder:
        obvious.copied(url, theirs)
        log = folder / "servers.log"
        with (
            processes.concord(url, "--no-seed", log=log, core=core, settings=bout.settings) as ours,
            serving("-m", "tests.benchmarks.obvious", theirs, log=log, core=core) as other,
        ):
            yield Arena(place.kind, {"concord": ours, "obvious": other}, folder, contests.about(url, ours.port))


# --- what came of it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Round:
    """What a server did in a round, and for how many seconds it had its core."""

    answered: Answered
    cpu: float

    @property
    def rate(self) -> float:
        return self.answered.rate

    @property
    def by_cpu(self) -> float:
        """Requests (or rows) that a second of its core was enough for."""
        return self.answered.answered / self.cpu if self.cpu else 0.0


@dataclass(slots=True)
class Score:
    """What each server did in each round; `faults`: what else went wrong with the registry."""

    rounds: dict[str, list[Round]] = field(default_factory=lambda: {name: [] for name in SERVERS})
    faults: list[str] = field(default_factory=list)

    def rate(self, server: str) -> float:
        return statistics.median(each.rate for each in self.rounds[server])

    def over(self, server: str, what: Callable[[Round], float] = lambda each: each.rate) -> float:
        """How many times as much the registry did as this server."""
        both = zip(self.rounds["concord"], self.rounds[server], strict=True)
        return statistics.median(what(ours) / what(theirs) if what(theirs) else 0.0 for ours, theirs in both)

    def errors(self, server: str) -> int:
        return sum(each.answered.errors for each in self.rounds[server])

    @property
    def p50(self) -> float:
        return statistics.median(each.answered.p50 for each in self.rounds["concord"])

    @property
    def p99(self) -> float:
        return self.p99_of("concord")

    def p99_of(self, server: str) -> float:
        return statistics.median(each.answered.p99 for each in self.rounds[server])


MEASURES: dict[str, tuple[str, Callable[[Score, float], bool]]] = {
    "limit": ("{:g} % of limit", lambda score, least: score.over("limit") * 100 >= least),
    "obvious": ("{:g} x obvious", lambda score, least: score.over("obvious") >= least),
    "rows": ("{:,g} rows/s", lambda score, least: score.rate("concord") >= least),
    "p99": ("p99 {:g} ms", lambda score, most: score.p99 <= most),
    "spread": ("p99 {:g} x p50", lambda score, most: score.p99 <= most * score.p50),
}
"""What may be wanted of a row: how it is said, and whether it holds."""


def _wanted(contest: Contest, kind: str) -> dict[str, float]:
    wanted = {
        "limit": contest.least(kind),
        "obvious": 1 if contest.wins else None,
        "p99": contest.p99 if kind == "sqlite" else None,
        "spread": SPREAD,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _told(name: str, score: Score, wanted: dict[str, float], say: Say) -> bool:
    """Print a row. Whether it is what was wanted, and nothing was refused."""
    found = [(MEASURES[what][1](score, value), MEASURES[what][0].format(value)) for what, value in wanted.items()]
    faults = [
        *score.faults,
        *(f"{server}: {score.errors(server)} refused" for server in SERVERS if score.errors(server)),
    ]
    verdicts = [f"{mark(well)} {text}" for well, text in found] + [f"{mark(False)} {fault}" for fault in faults]
    rates = (f"{score.rate(server):,.0f}" for server in SERVERS)
    ratios = (
        f"{score.over('limit') * 100:.1f}",
        f"{score.over('limit', lambda each: each.by_cpu) * 100:.1f}",
        f"{score.over('obvious'):.1f}",
    )
    found_times = (score.p50, score.p99, score.p99_of("limit"))
    times = [f"{time:.1f}" for time in found_times] if score.p50 else [""] * len(found_times)
    say(row(name, *rates, *ratios, *times, str(score.errors("concord")), ", ".join(verdicts)))
    return all(well for well, _ in found) and not faults


# --- many requests ----------------------------------------------------------------------------------------------------


def _contest(arena: Arena, contest: Contest, bout: Bout) -> Score:
    score, requests = Score(), list(contest.requests(arena.about))
    file = arena.folder / "requests"
    load.write(requests, file)
    loads = {server: Load(file, len(requests), contest.clients, sent=1) for server in SERVERS}
    beside = {server: patches(arena.about.organizations[1:]) for server in SERVERS}
    with _limit(arena, requests[0]) as servers:
        for server in SERVERS:
            _send(loads[server], servers[server], bout.warming, bout.tool)
        for server in SERVERS * bout.rounds:
            with _writing(servers[server].port, beside[server], contest.writes) as answers:
                score.rounds[server].append(_send(loads[server], servers[server], bout.seconds, bout.tool))
            score.faults += _faults(server, answers, int(contest.writes * bout.seconds * NEARLY))
    if contest.fresh and loads["concord"].is_used_up:
        score.faults.append("some were asked twice")
    return score


def _send(several: Load, server: Process, seconds: float, tool: Tool) -> Round:
    before = cpu(server.pid)
    with pinned(processes.cores()[1]):
        answered = tool(several, server.port, seconds)
    several.sent += answered.sent
    return Round(answered, cpu(server.pid) - before)


@contextmanager
def _limit(arena: Arena, request: Request) -> Iterator[dict[str, Process]]:
    """All three servers, where the limit gives the answer that the registry gives to this request."""
    answer, body = ask_once(arena.servers["concord"].port, request)
    if answer.status >= load.REFUSED:
        raise RuntimeError(f"{request.method} {request.target}: {answer.status} {body.decode(errors='replace')}")
    with _answering(arena, answer, body) as process:
        yield {"limit": process, **arena.servers}


@contextmanager
def _answering(arena: Arena, answer: HTTPResponse, body: bytes) -> Iterator[Process]:
    file, log = arena.folder / "answer", arena.folder / "servers.log"
    limit.keep(file, answer.status, answer.getheaders(), body)
    with serving("-m", "tests.benchmarks.limit", str(file), log=log, core=processes.cores()[0]) as process:
        yield process


@contextmanager
def _writing(port: int, requests: Iterator[Request], a_second: int) -> Iterator[list[int]]:
    """Write so often meanwhile; the statuses of the answers."""
    statuses: list[int] = []
    over = threading.Event()

    def write() -> None:
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due += 1 / a_second
            statuses.append(ask_once(port, next(requests))[0].status)

    writer = threading.Thread(target=write)
    if a_second:
        writer.start()
    try:
        yield statuses
    finally:
        over.set()
        if a_second:
            writer.join()


def _faults(server: str, statuses: Sequence[int], least: int) -> Iterator[str]:
    """What was wrong with the writes beside a load."""
    refused = [status for status in statuses if status >= load.REFUSED]
    if refused:
        yield f"{server}: writes beside it refused: {refused}"
    if len(statuses) < least:
        yield f"{server}: only {len(statuses)} of {least} writes beside it"


# --- one long one -----------------------------------------------------------------------------------------------------


def _import(arena: Arena, bout: Bout) -> Score:
    """A file of records that nobody has."""
    body = b"".join(json.dumps(record).encode() + b"\n" for record in corpus.newcomers(bout.rows, MOST))
    return _once(arena, Request("POST", "/v1/import?noun=organizations", (LINES, *KEY), body), lambda _: bout.rows)


def _export(arena: Arena, _: Bout) -> Score:
    request = Request("GET", "/v1/organizations?format=ndjson")
    return _once(arena, request, lambda body: body.count(b"\n"))


def _once(arena: Arena, request: Request, rows: Callable[[bytes], int]) -> Score:
    """The same long request to all three, the registry first: the limit gives its answer."""
    score = Score()
    ours, answer, body = _timed(arena.servers["concord"], request, rows)
    with _answering(arena, answer, body) as process:
        theirs = {"limit": process, "obvious": arena.servers["obvious"]}
        score.rounds = {name: [_timed(server, request, rows)[0]] for name, server in theirs.items()}
    score.rounds["concord"] = [ours]
    return score


def _timed(server: Process, request: Request, rows: Callable[[bytes], int]) -> tuple[Round, HTTPResponse, bytes]:
    before, begun = cpu(server.pid), time.perf_counter()
    with pinned(processes.cores()[1]):
        answer, body = ask_once(server.port, request)
    seconds = time.perf_counter() - begun
    refused = answer.status >= load.REFUSED
    answered = Answered(1, 0 if refused else rows(body), seconds, int(refused), 0, 0)
    return Round(answered, cpu(server.pid) - before), answer, body
