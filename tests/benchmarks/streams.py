"""Streams: a whole list out, a whole file in, each in a process of its own, so that its memory can be told.

    python -m tests.benchmarks.streams export csv URL
    python -m tests.benchmarks.streams import ndjson URL FILE

prints one JSON object: the rows, the seconds, and by how many bytes the process grew meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.api.v1 import RESOURCES
from app.exchange import cells, exports, files, imports, tables
from app.exchange.exports import Form
from app.kit import records
from app.kit.collector import resting
from app.kit.db import Database
from app.settings import HOME
from tests.benchmarks import corpus
from tests.benchmarks.registries import BUILDER, NOUNS, ORGANIZATIONS

STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Flow:
    """What went through. `grown` is None where the system does not tell."""

    rows: int
    seconds: float
    grown: int | None

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def run(*words: str) -> Flow:
    """What a process of its own says of one stream."""
    command = [sys.executable, "-m", "tests.benchmarks.streams", *words]
    said = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(said.stderr)
    return Flow(**json.loads(said.stdout))


# --- memory -----------------------------------------------------------------------------------------------------------


class Peak:
    """The most memory of its own that this process had at one time. What SQLite maps of its file is the system's to take back,
    and is not counted."""

    def __init__(self) -> None:
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, _anonymous())


@contextmanager
def watched() -> Iterator[Peak]:
    """Look every few milliseconds."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            peak.look()

    peak.look()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
        peak.look()


def _anonymous() -> int:
    if not STATUS.exists():
        return 0
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


# --- the streams ------------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[], Form]] = {
    "csv": lambda: exports.csv(ORGANIZATIONS),
    "ndjson": exports.ndjson,
    "jsonld": lambda: exports.json_ld("https://registry.example/context.jsonld", "https://registry.example"),
}

END_OF_RECORD = {"csv": b"\r\n", "ndjson": b"\n", "jsonld": b"\n"}


def export(database: Database, form: str) -> int:
    """Every organization, page by page, each page in a transaction of its own, to nobody; how many there were."""
    chosen, query, cursor, rows = FORMS[form](), ORGANIZATIONS.query(), None, 0
    while True:
        part = database.read(lambda tx, at=cursor: exports.part(tx, ORGANIZATIONS, query, chosen, at))  # type: ignore[misc]
        rows += part.body.count(END_OF_RECORD[form])
        if (cursor := part.next) is None:
            return rows


def load(database: Database, form: str, path: Path) -> int:
    """A file of organizations, in one transaction, as a request with it would be: how many were created, or refused."""
    with path.open("rb") as body:
        file = files.table(body, ORGANIZATIONS) if form == "csv" else files.lines(body, NOUNS, ORGANIZATIONS)
        try:
            with resting():
                report = database.write(lambda tx: imports.load(tx, RESOURCES, file, imports.Wish()), BUILDER)
        except imports.Refused as refused:
            return refused.rows
    return report.count("created")


def written(folder: Path, form: str, size: int) -> Path:
    """A file of the first organizations of the corpus; in the form `flawed` it is NDJSON, and two fields of each are wrong."""
    path = folder / f"organizations_{size}.{form}"
    several = corpus.organizations(size)
    if form == "csv":
        columns = cells.columns(ORGANIZATIONS)
        with path.open("wb") as table:
            table.writelines(tables.write(columns, (cells.row(ORGANIZATIONS, each) for each in several), bom=False))
    else:
        with path.open("w") as file:
            wrong = {"kind": "nonesuch", "founded": "soon"} if form == "flawed" else {}
            file.writelines(json.dumps(each | wrong) + "\n" for each in several)
    return path


def flow(verb: str, form: str, url: str, *paths: str) -> Flow:
    """One stream, in this process."""
    database = records.open_database(url, pool_size=1)
    database.read(lambda tx: records.browse(tx, ORGANIZATIONS, ORGANIZATIONS.query()))
    before, begun = _anonymous(), time.perf_counter()
    with watched() as peak:
        rows = export(database, form) if verb == "export" else load(database, form, Path(paths[0]))
    seconds = time.perf_counter() - begun
    database.close()
    return Flow(rows, seconds, peak.most - before if before else None)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(flow(*sys.argv[1:]))))
