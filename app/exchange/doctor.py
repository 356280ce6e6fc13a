"""The doctor: looks whether all is well with a registry, and says what to do where it is not. It changes nothing."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from app.auth import keys
from app.exchange import documents, models, passages  # noqa: F401  # all tables are compared
from app.kit import migrations, records, revisions, search
from app.kit.db import Clock, Database, Transaction, table_of
from app.kit.errors import RegistryError
from app.kit.resource import Resource
from app.registry.citations import Citation, CitationPassage
from app.registry.sources import Source, SourcePassage
from app.settings import MIGRATIONS, SEED, Settings

Resources = Sequence[Resource[Any]]
RESTORE = "Restore a backup; something else than Concord has written to the database."
LEAST_FREE = 64 * 2**20
"""Bytes on the disk below which a write may fail soon."""
MOST_NAMED = 5
"""Of what is wrong so many are named."""
BATCH = 1000


class Verdict(StrEnum):
    """How a check came out."""

    ok = "ok"
    warning = "warning"
    wrong = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found, and what to do about it."""

    check: str
    verdict: Verdict
    found: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    settings: Settings
    database: Database
    resources: Resources
    environment: Mapping[str, str]

    @property
    def kind(self) -> str:
        return self.database.engine.dialect.name

    @property
    def file(self) -> Path | None:
        """Where SQLite keeps the registry."""
        name = make_url(self.settings.database_url).database
        return Path(name) if self.kind == "sqlite" and name else None


Result = tuple[Verdict, str] | tuple[Verdict, str, str]
Look = Callable[[Patient], Result]


class Needs(IntEnum):
    """What a check can do without; what comes later in this list needs what comes before."""

    nothing = 0
    database = 1
    schema = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table of checks. `gate`: those that need it are not made where it fails."""

    name: str
    needs: Needs
    look: Look
    gate: Needs | None = None
    only: str | None = None  # on this kind of database


def examine(
    settings: Settings, database: Database, resources: Resources, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """The findings of every check, in order. One that another stands in the way of is left out."""
    patient = Patient(settings, database, resources, environment)
    reached = Needs.schema
    for check in CHECKS:
        if check.needs > reached or check.only not in (None, patient.kind):
            continue
        finding = _look(check, patient)
        if finding.verdict is Verdict.wrong and check.gate is not None:
            reached = Needs(check.gate - 1)
        yield finding


def _look(check: Check, patient: Patient) -> Finding:
    try:
        return Finding(check.name, *check.look(patient))
    except migrations.SchemaError as error:
        return Finding(check.name, Verdict.wrong, str(error))
    except RegistryError as error:
        return Finding(check.name, Verdict.wrong, error.detail, UNREACHABLE)
    except DBAPIError as error:
        return Finding(check.name, Verdict.wrong, str(error.orig).strip(), RESTORE)


def worst(findings: Iterable[Finding]) -> Verdict:
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.ok)


# --- settings ---------------------------------------------------------------------------------------------------------

UNREACHABLE = "Start the database, and see that CONCORD_DATABASE_URL names it, its user and its password."
EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def _misses(package: str) -> bool:
    try:
        return find_spec(package) is None
    except ModuleNotFoundError:
        return True


ODD: tuple[tuple[Callable[[Patient], bool], str, str], ...] = (
    (lambda p: p.settings.read_only, "read-only mode is on: every write is refused",
     "Unset CONCORD_READ_ONLY when the work that it was set for is done."),
    (lambda p: p.settings.max_import_bytes < p.settings.max_body_bytes, "an import may be shorter than any other body",
     "Set CONCORD_MAX_IMPORT_BYTES above CONCORD_MAX_BODY_BYTES."),
    (lambda p: p.settings.pool_size > 50, "a worker keeps more than 50 database connections",
     "Set CONCORD_POOL_SIZE to what the database allows, divided by the number of workers."),
    (lambda p: p.settings.telemetry and not any(name.startswith("OTEL_EXPORTER_OTLP") for name in p.environment),
     "telemetry is on and has nowhere to go", "Set OTEL_EXPORTER_OTLP_ENDPOINT, or unset CONCORD_TELEMETRY."),
    (lambda p: p.settings.telemetry and _misses(EXPORTER), "telemetry is on and its packages are missing",
     "Install concord-registry[telemetry]."),
)  # fmt: skip
"""Settings that are allowed and hardly meant: when, what is odd, what to do."""


def _settings(patient: Patient) -> Result:
    odd = [(found, do) for is_so, found, do in ODD if is_so(patient)]
    if odd:
        return Verdict.warning, "; ".join(found for found, _ in odd), " ".join(do for _, do in odd)
    return Verdict.ok, "known, and none is odd"


# --- the database -----------------------------------------------------------------------------------------------------


def _file(patient: Patient) -> Result:
    file = patient.file
    assert file is not None  # noqa: S101  # the check is SQLite's
    if not file.is_file():
        return Verdict.wrong, f"{file} does not exist", "Run: concord migrate"
    locked = [path for path in (file, file.parent) if not os.access(path, os.R_OK | os.W_OK)]
    if locked:
        return Verdict.wrong, f"{locked[0]} may not be written", "Give it to the user that Concord runs as, with chown."
    if file.stat().st_mode & stat.S_IWOTH:
        return Verdict.warning, f"everybody on this machine may write {file}", f"Run: chmod o-w {file}"
    return Verdict.ok, f"{file} may be written, by those who should"


def _reached(patient: Patient) -> Result:
    version = ".".join(map(str, patient.database.read(lambda tx: tx.connection.dialect.server_version_info or ())))
    return Verdict.ok, f"{patient.kind} {version} answers"


def _disk(patient: Patient) -> Result:
    file = patient.file
    assert file is not None  # noqa: S101
    free, size = shutil.disk_usage(file.parent).free, file.stat().st_size
    shown = f"{free // 2**20} MB are free, the registry has {size // 2**20} MB"
    if free < LEAST_FREE:
        return Verdict.wrong, shown, "Make room on the disk: the next writes will fail."
    if free < 2 * size:
        return Verdict.warning, shown, "Make room: a migration or a backup may need as much again as the registry has."
    return Verdict.ok, shown


def _intact(patient: Patient) -> Result:
    def work(tx: Transaction) -> list[str]:
        said = [str(row[0]) for row in tx.connection.exec_driver_sql(f"PRAGMA integrity_check({MOST_NAMED})")]
        broken = tx.connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [text for text in said if text != "ok"] + [f"{row[0]} refers to nothing in {row[2]}" for row in broken]

    faults = patient.database.read(work)
    return (Verdict.wrong, _some(faults), "Restore a backup.") if faults else (Verdict.ok, "no page is damaged")


def _revision(patient: Patient) -> Result:
    migrations.verify(patient.database.engine, MIGRATIONS)
    return Verdict.ok, f"at {migrations.head(MIGRATIONS)}, which this program needs"


def _tables(patient: Patient) -> Result:
    found = patient.database.read(lambda tx: migrations.differences(tx.connection))
    if found:
        return Verdict.wrong, _some(found), "Undo what was changed by hand, or restore a backup."
    return Verdict.ok, "as modelled"


# --- what is in it ----------------------------------------------------------------------------------------------------


def _seed(patient: Patient) -> Result:
    lines = documents.read_folder(SEED, patient.resources)
    found = patient.database.read(lambda tx: documents.compare(tx, lines))
    shown = (
        f"of {len(lines)} records {found.same} as seeded, {found.changed} changed since, {found.withdrawn} withdrawn"
    )
    if 0 < found.absent < len(lines):
        return Verdict.warning, f"{shown}, {found.absent} missing", "Run: concord seed"
    return Verdict.ok, shown if found.absent == 0 else "not loaded"


def _clock(patient: Patient) -> Result:
    revision = revisions.TABLE.c.seq
    statement = sa.select(
        sa.select(table_of(Clock).c.seq).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.max(revision), 0)).scalar_subquery(),
        sa.select(sa.func.count(revision)).scalar_subquery(),
    )
    clock, last, count = patient.database.read(lambda tx: tuple(tx.execute(statement).one()))
    if clock != last:
        return Verdict.wrong, f"the clock says {clock}, the last write is {last}", RESTORE
    if count != last:
        return Verdict.wrong, f"{last} writes are numbered and {count} are there", RESTORE
    return Verdict.ok, f"{last} writes, without a gap"


def _fingerprints(patient: Patient) -> Result:
    passage, source = table_of(SourcePassage), table_of(Source)
    statement = (
        sa.select(source.c.slug, passage.c.section, passage.c.paragraph, passage.c.sentence, passage.c.fingerprint,
                  passage.c.text)
        .join(source, source.c.id == passage.c.source_id).where(passage.c.text.is_not(None))
    )  # fmt: skip

    def work(tx: Transaction) -> tuple[int, list[str]]:
        tx.take_time()
        count, faults = 0, []
        for row in tx.execute(statement.execution_options(yield_per=BATCH)):
            count += 1
            if passages.fingerprint(row.text) != row.fingerprint:
                faults.append(f"{row.slug} {row.section}.{row.paragraph}.{row.sentence}")
        return count, faults

    count, faults = patient.database.read(work)
    if faults:
        return Verdict.wrong, f"the text is not what was fingerprinted: {_some(faults)}", RESTORE
    return Verdict.ok, f"{count} stored passages are what was fingerprinted"


def _citations(patient: Patient) -> Result:
    citation, cited, passage = (table_of(model) for model in (Citation, CitationPassage, SourcePassage))
    of_source = passage.c.source_id == citation.c.source_id
    there = sa.and_(of_source, *(passage.c[n] == cited.c[n] for n in ("section", "paragraph", "sentence")))
    statement = (
        sa.select(citation.c.slug).distinct().join(cited, cited.c.citation_id == citation.c.id)
        .where(citation.c.withdrawn_at.is_(None), sa.exists().where(of_source), ~sa.exists().where(there))
        .order_by(citation.c.slug)
    )  # fmt: skip
    lost = patient.database.read(lambda tx: list(tx.execute(statement).scalars()))
    if lost:
        return (
            Verdict.warning,
            f"the source has no such passage: {_some(lost)}",
            ("Its source was read anew: see what became of each with concord verify, and mend them."),
        )
    return Verdict.ok, "every cited passage is there"


def _keys(patient: Patient) -> Result:
    found = patient.database.read(keys.admins)
    if not found:
        return Verdict.warning, "no key of an admin opens", "Run: concord key create NAME --role admin"
    return Verdict.ok, f"admins: {_some(found)}"


def _search(patient: Patient) -> Result:
    def work(tx: Transaction) -> tuple[int, int, int]:
        tx.take_time()
        missing = sum(_unfindable(tx, resource) for resource in patient.resources)
        too_many = sum(_findable_in_vain(tx, resource) for resource in patient.resources)
        texts, index = (
            tx.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in (search.TEXT, search.INDEX)
        )
        return missing, too_many, texts - index

    missing, too_many, apart = patient.database.read(work)
    if missing or too_many or apart:
        shown = f"{missing} records cannot be found, {too_many} are found and not there, {apart} texts have no words"
        return Verdict.wrong, shown, "Run: concord reindex"
    return Verdict.ok, "every record can be found"


def _unfindable(tx: Transaction, resource: Resource[Any]) -> int:
    table, text = resource.table.c, search.TEXT.c
    statement = sa.select(table.shape, table.document).where(
        table.withdrawn_at.is_(None), ~sa.exists().where(text.record_id == table.id, text.noun == resource.plural)
    )
    rows = tx.execute(statement.execution_options(yield_per=BATCH))
    return sum(any(True for _ in resource.texts(records.snapshot(resource, row))) for row in rows)


def _findable_in_vain(tx: Transaction, resource: Resource[Any]) -> int:
    table, text = resource.table.c, search.TEXT.c
    there = sa.exists().where(table.id == text.record_id, table.withdrawn_at.is_(None))
    statement = sa.select(sa.func.count(text.record_id.distinct())).where(text.noun == resource.plural, ~there)
    return int(tx.execute(statement).scalar_one())


def _some(faults: Sequence[str]) -> str:
    more = len(faults) - MOST_NAMED
    return "; ".join(faults[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


CHECKS = (
    Check("settings", Needs.nothing, _settings),
    Check("file", Needs.nothing, _file, gate=Needs.database, only="sqlite"),
    Check("database", Needs.database, _reached, gate=Needs.database),
    Check("disk", Needs.database, _disk, only="sqlite"),
    Check("integrity", Needs.database, _intact, gate=Needs.schema, only="sqlite"),
    Check("schema", Needs.database, _revision, gate=Needs.schema),
    Check("tables", Needs.schema, _tables, gate=Needs.schema),
    Check("clock", Needs.schema, _clock),
    Check("seed", Needs.schema, _seed),
    Check("fingerprints", Needs.schema, _fingerprints),
    Check("citations", Needs.schema, _citations),
    Check("keys", Needs.schema, _keys),
    Check("search", Needs.schema, _search),
)
"""What is looked at, in this order."""
