"""The benchmark: builds registries of several sizes on both databases, asks them the same questions, and prints what that
took and how it grew.

    python -m tests.benchmarks --sizes 1000,100000 --databases sqlite,postgresql --cache FOLDER --out TABLES.md

Exits with 1 when something grew faster than it may.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tests.benchmarks import registries
from tests.benchmarks.contests import CONTESTS
from tests.benchmarks.measures import PARTS, Way, measure
from tests.benchmarks.registries import Place
from tests.benchmarks.rounds import THOROUGH, Bout

KINDS = ("sqlite", "postgresql")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--sizes", default="1000,100000", help="organizations, smallest first")
    parser.add_argument("--databases", default=",".join(KINDS))
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="http: three servers side by side, in the largest of up to 100,000"
    )
    parser.add_argument("--cache", type=Path, help="a folder that keeps the registries for the next run")
    parser.add_argument("--out", type=Path, help="a file that the tables are written to, too")
    http = parser.add_argument_group("of the part http")
    http.add_argument("--rounds", type=int, default=THOROUGH.rounds, help="how often each server is asked")
    http.add_argument("--seconds", type=float, default=THOROUGH.seconds, help="how long, each time")
    http.add_argument("--rows", type=int, default=THOROUGH.rows, help="of the file that is imported")
    http.add_argument("--only", default="", help="only contests whose name holds this")
    http.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the registry: --set cache_bytes=0",
    )
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers that it has started are stopped with it
    asked = arguments(given)
    sizes = sorted(int(size) for size in asked.sizes.split(","))
    way = Way(parts=asked.parts.split(","), bout=_bout(asked))
    with _folder(asked.cache) as folder, _opened(asked.out) as out:
        well = True
        for kind in asked.databases.split(","):
            with place(kind, folder) as where:
                well &= measure(where, folder, sizes, lambda line: _say(line, out), way)
    return 0 if well else 1


def _bout(asked: argparse.Namespace) -> Bout:
    chosen = [contest for contest in CONTESTS if asked.only in contest.name]
    return Bout(rounds=asked.rounds, seconds=asked.seconds, rows=asked.rows, contests=chosen, settings=asked.set)


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """Where the registries of one kind of database are."""
    if kind == "sqlite":
        yield Place(kind, str(folder))
    else:
        with registries.postgresql(folder / "postgresql") as url:
            yield Place(kind, url)


@contextmanager
def _folder(cache: Path | None) -> Iterator[Path]:
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        yield cache.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="concord-benchmarks-") as folder:
            yield Path(folder)


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
    else:
        with path.open("w") as out:
            yield out


def _say(line: str, out: TextIO | None) -> None:
    for stream in (sys.stdout, out):
        if stream is not None:
            stream.write(f"{line}\n")
            stream.flush()


if __name__ == "__main__":
    sys.exit(main())
