"""A new version takes the place of the last one: the schema is brought forward while that one still answers.

The last version is the program as it was before the newest migration came in, taken out of the history of this repository, and
run with the libraries of today.
"""

from __future__ import annotations

import io
import itertools
import subprocess
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.kit import migrations
from app.settings import HOME, MIGRATIONS
from tests.conftest import Server, authorized
from tests.support.answers import Json, walk
from tests.support.proofs import Proof
from tests.test_cli import run, served, until

NOUNS = (
    "organizations", "collaboration-types", "instruments", "collaborations", "milestones", "sources", "citations", "reviews",
)  # fmt: skip
READ = (
    *(f"/v1/{noun}?limit=200" for noun in NOUNS if noun != "organizations"),
    "/v1/collaborations?q=labour", "/v1/collaborations?as_of=100", "/v1/organizations/oecd/revisions",
)  # fmt: skip
"""What is asked all the time. (Other organizations are written meanwhile.)"""
READERS, READS = 3, 40
"""So many ask at once; so many answers are there before the schema changes, and come after it."""


def git(*arguments: str) -> bytes:
    """Raises OSError or CalledProcessError where there is no git, or no history."""
    return subprocess.run(["git", "-C", HOME, *arguments], capture_output=True, check=True, timeout=60).stdout


def last_version() -> bytes:
    """The program before the newest migration, as an archive. Skips the test where nobody knows it any more."""
    newest = MIGRATIONS / "versions"
    (path,) = (
        file for file in newest.glob("*.py") if f"revision = '{migrations.head(MIGRATIONS)}'" in file.read_text()
    )
    try:
        came = (
            git("log", "-1", "--first-parent", "-m", "--diff-filter=A", "--format=%H", "--", str(path)).decode().strip()
        )
        return git("archive", f"{came}^1", "app", "migrations", "seed", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(
            f"NOT TESTED: the history of this repository does not reach before {path.name} ({type(error).__name__})"
        )


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the last version is."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(last_version())) as archive:
        archive.extractall(folder, filter="data")
    return folder


@dataclass
class Load:
    """Some clients of the last version read the same again and again, one writes: and what they were answered."""

    port: int
    before: Mapping[str, bytes]
    reads: Counter[int] = field(default_factory=Counter)
    writes: Counter[int] = field(default_factory=Counter)
    changed: int = 0
    stored: list[Json] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        with authorized(self.port) as client:
            for path in itertools.cycle(READ):
                answer = client.get(path)
                self.reads[answer.status_code] += 1
                self.changed += answer.content != self.before[path]
                if self.over.is_set():
                    return

    def write(self) -> None:
        with authorized(self.port) as client:
            for number in itertools.count():
                answer = client.post(
                    "/v1/organizations", json={"name": f"Written by the old {number}", "kind": "other"}
                )
                self.writes[answer.status_code] += 1
                if answer.status_code == 201:
                    self.stored.append(answer.json())
                if self.over.wait(0.05):
                    return


@contextmanager
def loaded(port: int, before: Mapping[str, bytes]) -> Iterator[Load]:
    load = Load(port, before)
    with ThreadPoolExecutor(READERS + 1) as threads:
        working = [threads.submit(load.read) for _ in range(READERS)] + [threads.submit(load.write)]
        try:
            yield load
        finally:
            load.over.set()
    for each in working:
        each.result()


def edit(client: httpx.Client) -> None:
    """What people do to a seeded registry."""
    for number in range(5):
        made = client.post("/v1/organizations", json={"name": f"Harbour office {number}", "kind": "other"})
        assert made.status_code == 201
        path, tag = made.headers["location"], {"If-Match": made.headers["etag"]}
        assert client.patch(path, json={"acronym": f"HO{number}"}, headers=tag).status_code == 200
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 204


def contents(client: httpx.Client) -> dict[str, Json]:
    """Every record and every change."""
    found = {f"{noun}/{item['slug']}": item for noun in NOUNS for item in walk(client, f"/v1/{noun}?limit=200")}
    after = 0
    while items := client.get(f"/v1/changes?after={after}&limit=200").json()["items"]:
        found |= {f"change {item['sequence']}": item for item in items}
        after = items[-1]["sequence"]
    return found


def differing(before: Mapping[str, Json], after: Mapping[str, Json]) -> int:
    """How many of these are not there, or otherwise. There may be more of them, and more in each."""
    return sum(after.get(name, {}) != after.get(name, {}) | old for name, old in before.items())


def upgrade(url: str, old: Path) -> tuple[Load, int]:
    """Bring the registry at `url` to the newest schema under the load of the last version: that load, and how many
    records and changes the new version shows otherwise."""
    with served(url, home=old) as (_, client):
        edit(client)
        before = {path: client.get(path).content for path in READ}
        with loaded(client.base_url.port or 0, before) as load:
            until(lambda: load.reads.total() >= READS)
            assert run("migrate", database_url=url).returncode == 0
            so_far = load.reads.total()
            until(lambda: load.reads.total() >= so_far + READS)
            assert client.get("/readyz").status_code == 503, "it says that its time is over"
        last = contents(client)
    with served(url, "--no-migrate", "--no-seed") as (_, client):
        otherwise = differing(last, contents(client))
        otherwise += sum(client.get(f"/v1/organizations/{made['slug']}").json() != made for made in load.stored)
    return load, otherwise


@pytest.mark.proves("upgrade")
def test_the_last_version_answers_on_while_the_schema_is_brought_forward_and_nothing_is_lost(
    server: Server, proof: Proof, old: Path
) -> None:
    upgrades = [upgrade(server.fresh("blank"), old) for _ in range(proof.rounds(1, 10))]
    loads, otherwise = [load for load, _ in upgrades], sum(number for _, number in upgrades)
    reads = sum((load.reads for load in loads), Counter[int]())
    writes = sum((load.writes for load in loads), Counter[int]())
    assert reads.keys() == {200}
    assert writes.keys() <= {201, 503}
    proof.count("upgrades under load", len(upgrades), at_least=1)
    proof.count("reads of the last version while the schema changes", reads.total(), at_least=2 * READS)
    proof.count("of which were answered otherwise than before", sum(load.changed for load in loads), at_most=0)
    proof.count("writes of the last version while the schema changes", writes.total(), at_least=1)
    proof.count("writes of the last version that were refused", writes[503], at_most=0)
    proof.count("records and changes that the new version shows otherwise", otherwise, at_most=0)
