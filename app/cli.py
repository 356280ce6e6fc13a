"""The command `concord`: each of its words is one call into a floor below."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from tqdm import tqdm

from app.api import logs
from app.api.v1 import RESOURCES
from app.auth import keys
from app.auth.policy import Role
from app.exchange import doctor, documents, exports, files, imports, pages, passages, verification
from app.exchange.exports import Form
from app.exchange.imports import File, ImportMode, Problem, Wish
from app.kit import backfill, backups, migrations, records
from app.kit.collector import resting
from app.kit.db import Author, Database, Transaction
from app.kit.errors import RegistryError
from app.kit.fields import AsOfQuery, Moment
from app.kit.resource import Resource
from app.settings import MIGRATIONS, SEED, Settings, table

IMPORTER = Author("import")
OPERATOR = Author("operator")
"""Who makes keys with this command: whoever may start it, may."""
METRICS = "PROMETHEUS_MULTIPROC_DIR"
MODES = {mode.value: mode for mode in ImportMode}
ROLES = {role.value: role for role in Role}
MOST_KEYS = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `concord`. Returns the exit code: 0, or 1 with a plain message for what cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options, Settings.from_environment(os.environ))
    except DBAPIError as error:
        return _refuse(f"The database cannot be used: {str(error.orig).strip()}")
    except (migrations.SchemaError, backups.BackupError, passages.DocumentError, ValueError, OSError) as error:
        return _refuse(str(error))
    except RegistryError as error:
        faults = "".join(f"\n  {fault.pointer or fault.parameter or ''}: {fault.message}" for fault in error.faults)
        return _refuse(error.detail + faults)
    return code


def _refuse(message: str) -> int:
    print(f"concord: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="concord", description="The registry of who works with whom.")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="migrate, seed and serve")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--workers", type=int, default=1)
    serve.add_argument("--no-migrate", action="store_true", help="leave the schema alone; refuse to serve another one")
    serve.add_argument("--no-seed", action="store_true")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database's schema to the newest revision")
    migrate.set_defaults(run=_migrate)

    seed = commands.add_parser("seed", help="load the seed; never overwrites an edit")
    seed.add_argument(
        "--document", type=Path, help="the source document: its passages are checked and their text is stored"
    )
    seed.set_defaults(run=_seed)

    shown = commands.add_parser("settings", help="what can be set, as a table in Markdown")
    shown.set_defaults(run=_settings)

    reindex = commands.add_parser("reindex", help="make the index of search anew")
    reindex.set_defaults(run=_reindex)

    examined = commands.add_parser("doctor", help="look whether all is well, and say what to do")
    examined.add_argument("--json", action="store_true", help="for programs")
    examined.set_defaults(run=_doctor)

    verify = commands.add_parser("verify", help="how the citations of a source stand in a newer text of it")
    verify.add_argument("source", help="slug or id of the source")
    verify.add_argument("file", type=Path, help="the newer text, plain or (.html, .htm) HTML, in UTF-8")
    verify.add_argument(
        "--accept", action="store_true", help="take it in as a new edition, with the citations that stand in it"
    )
    verify.add_argument("--published", metavar="EDTF", help="with --accept: when it was published")
    verify.set_defaults(run=_verify)

    key = commands.add_parser("key", help="API keys: make one, list them, revoke one")
    words = key.add_subparsers(required=True, metavar="word")
    make = words.add_parser("create", help="make a key and print it, once")
    make.add_argument("name", help="who or what writes with it; the history shows it")
    make.add_argument("--role", choices=list(ROLES), required=True)
    make.add_argument("--expires", metavar="MOMENT", help="when it opens nothing any more: 2027-01-01T00:00:00Z")
    make.set_defaults(run=_make_key)
    words.add_parser("list", help="all keys, without their secrets").set_defaults(run=_list_keys)
    revoke = words.add_parser("revoke", help="let a key open nothing any more, in every process at once")
    revoke.add_argument("name")
    revoke.set_defaults(run=_revoke_key)

    taken = commands.add_parser("import", help="take in a file of records: CSV of one noun, or NDJSON")
    taken.add_argument("file", type=Path)
    taken.add_argument("--noun", choices=[noun.plural for noun in RESOURCES], help="of which noun the records are")
    taken.add_argument("--mode", choices=list(MODES), default=ImportMode.create.value)
    taken.add_argument(
        "--key", default="slug", help="what tells which record a row is: slug, id, or an identifier's scheme"
    )
    taken.add_argument("--columns", default="", help="which column is which: Partner:name,Contact:")
    taken.add_argument("--dates", choices=["day", "month"], help="what stands first in 04/12/2014")
    taken.add_argument("--dry-run", action="store_true", help="do everything, and leave nothing behind")
    taken.add_argument("--partial", action="store_true", help="store the good rows though others are refused")
    taken.set_defaults(run=_import)

    given = commands.add_parser("export", help="write the registry, or one noun of it, into a file")
    given.add_argument("file", type=Path)
    given.add_argument("--noun", choices=[noun.plural for noun in RESOURCES], help="only this one")
    given.add_argument("--format", choices=FORMATS, help="by the file's suffix, if not given")
    given.add_argument("--as-of", metavar="POINT", help="as it stood at a number, a date or a moment")
    given.set_defaults(run=_export)

    saved = commands.add_parser("backup", help="write the whole registry into one file, while it is in use")
    saved.add_argument("file", type=Path)
    saved.add_argument("--overwrite", action="store_true", help="take the place of a file that is there")
    saved.set_defaults(run=_backup)
    return parser


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    with resting():
        import uvicorn  # only here: the other commands start faster without it

        from app.api import protocol

        if options.workers == 1:  # what uvicorn would read in a moment; several workers read it themselves
            import_module("app.main")
    _prepare(options, settings)
    # Uvicorn sends itself once more the signal that has stopped it; like this that is no failure, and the code is 0.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _shared_metrics(options.workers):
        uvicorn.run(
            "app.main:create_app",
            factory=True,
            host=options.host,
            port=options.port,
            workers=options.workers,
            timeout_graceful_shutdown=settings.grace_seconds,
            # Uvicorn kills a worker that says nothing for so long, also one that still loads its modules. On a busy machine
            # that takes longer than its usual 5 seconds, and no worker would ever come up.
            timeout_worker_healthcheck=20,
            log_config=logs.configuration(settings.log_format, settings.log_level),
            **protocol.options(settings),
        )
    return 0


def _prepare(options: argparse.Namespace, settings: Settings) -> None:
    """Bring schema, seed and the first key to where this program has them, or see that they can be served."""
    migrates = not (options.no_migrate or settings.read_only)
    if migrates:
        _migrate(options, settings)
    with _registry(settings, verified=migrates) as database:
        if settings.read_only:
            return
        if not options.no_seed:
            _load_seed(database)
        _give_first_key(database, settings)


@contextmanager
def _shared_metrics(workers: int) -> Iterator[None]:
    """A folder in which several workers add up what they count. They read its name before they count anything."""
    if workers == 1 or METRICS in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="concord-metrics-") as folder:
        os.environ[METRICS] = folder
        yield


def _migrate(_: argparse.Namespace, settings: Settings) -> int:
    migrations.migrate(settings.database_url, MIGRATIONS, then=_complete)
    print("The schema is at its newest revision.")
    return 0


@contextmanager
def _registry(settings: Settings, *, verified: bool = False) -> Iterator[Database]:
    """The registry, at the newest revision of its schema (which is looked at, unless it was `verified` a moment ago)."""
    database = records.open_database(settings.database_url, pool_size=1)
    try:
        if not verified:
            migrations.verify(database.engine, MIGRATIONS)
        yield database
    finally:
        database.close()


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    page = options.file.suffix.lower() in (".html", ".htm")
    newer = verification.read(options.file.read_bytes(), pages.MEDIA_TYPE if page else verification.TEXT)
    nouns = {resource.plural: resource for resource in RESOURCES}

    def work(tx: Transaction) -> dict[str, Any]:
        if options.accept:
            return verification.accept(tx, nouns, options.source, newer, options.published)
        return verification.verify(tx, nouns, options.source, newer).shown()

    with _registry(settings) as database:
        found = database.write(work, Author("verify")) if options.accept else database.read(work)
    _print_verification(found)
    return 0


def _print_verification(found: Mapping[str, Any]) -> None:
    print(", ".join(f"{count} {verdict}" for verdict, count in found["summary"].items()))
    for citation in found["citations"]:
        if citation["verdict"] != "holds":
            target, similarity = citation["target"], citation["similarity"]
            near = f" ({similarity:.2f})" if citation["verdict"] == "changed" else ""
            places = f"{_places(citation['was'])} → {_places(citation['now']) or 'nowhere'}"
            print(f"  {citation['verdict']}{near} {target['noun']}/{target['record']}{citation['field']}: {places}")
    for passage in found["uncited"]:
        print(f"  uncited {_places([passage])}: {passage['text']}")
    if found["accepted"]:
        print(f"Accepted as {found['accepted']}.")


def _places(places: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{place['section']}.{place['paragraph']}.{place['sentence']}" for place in places)


def _complete(connection: Connection) -> None:
    tx = Transaction(connection, datetime.now(UTC), Author("migration"))
    made = backfill.complete(tx, RESOURCES)
    if made:
        print(f"{made} past states were made of the history.")
    backfill.outline(tx, RESOURCES)
    backfill.reindex(tx, RESOURCES)


def _seed(options: argparse.Namespace, settings: Settings) -> int:
    with _registry(settings) as database:
        _load_seed(database, options.document)
    return 0


def _load_seed(database: Database, document: Path | None = None) -> None:
    lines = documents.read_folder(SEED, RESOURCES)
    if document is not None:
        lines = documents.with_text(lines, passages.read(document.read_bytes()))
    report = database.write(lambda tx: documents.load(tx, lines), documents.SEEDER)
    print(
        f"Seed: {report.created} created, {report.changed} changed, {report.unchanged} unchanged, {len(report.kept)} kept."
    )
    for kept in report.kept:
        print(f"  kept {kept}")


# --- keys -------------------------------------------------------------------------------------------------------------


def _give_first_key(database: Database, settings: Settings) -> None:
    made = database.write(lambda tx: keys.first(tx, settings.admin_key or None), OPERATOR)
    if made is not None and not settings.admin_key:
        print(f"The key of the first admin, shown this once: {made.secret}", flush=True)  # also where it is no terminal


class _Expiry(BaseModel):
    expires: Moment | None


def _make_key(options: argparse.Namespace, settings: Settings) -> int:
    expires = records.parsed(_Expiry, {"expires": options.expires}).expires
    with _registry(settings) as database:
        made = database.write(lambda tx: keys.make(tx, options.name, ROLES[options.role], expires_at=expires), OPERATOR)
    print(made.secret)
    return 0


def _list_keys(_: argparse.Namespace, settings: Settings) -> int:
    with _registry(settings) as database:
        found, last = database.read(lambda tx: keys.browse(tx, limit=MOST_KEYS))
    for row in found:
        print(f"{row.name:<24} {row.role:<9} …{row.hint}  made {_day(row.created_at)} by {row.created_by}{_end(row)}")
    if last is not None:
        print("… and more.")
    return 0


def _end(row: Any) -> str:
    if row.revoked_at is not None:
        return f", revoked {_day(row.revoked_at)} by {row.revoked_by}"
    return f", expires {_day(row.expires_at)}" if row.expires_at is not None else ""


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _revoke_key(options: argparse.Namespace, settings: Settings) -> int:
    with _registry(settings) as database:
        database.write(lambda tx: keys.revoke(tx, options.name, even_the_last=True), OPERATOR)
    return 0


def _settings(_: argparse.Namespace, __: Settings) -> int:
    print(table())
    return 0


def _reindex(_: argparse.Namespace, settings: Settings) -> int:
    with _registry(settings) as database:
        made = database.write(lambda tx: backfill.reindex(tx, RESOURCES), Author("reindex"))
    print(f"{made} records can be found.")
    return 0


def _doctor(options: argparse.Namespace, settings: Settings) -> int:
    database = records.open_database(settings.database_url, pool_size=1)
    try:
        findings = list(doctor.examine(settings, database, RESOURCES, os.environ))
    finally:
        database.close()
    verdict = doctor.worst(findings)
    if options.json:
        print(json.dumps({"verdict": verdict, "checks": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            print(f"{finding.verdict:8} {finding.check}: {finding.found}{f' → {finding.do}' if finding.do else ''}")
    return 1 if verdict is doctor.Verdict.wrong else 0


# --- files ------------------------------------------------------------------------------------------------------------

TABLES, LINES = (".csv", ".tsv", ".txt"), (".ndjson", ".jsonl")
FORMATS = ["csv", "jsonld", "ndjson", "xlsx"]


def _import(options: argparse.Namespace, settings: Settings) -> int:
    wish = Wish(MODES[options.mode], options.key, atomic=not options.partial)
    try:
        with _read(options) as file, _registry(settings) as database, _bar(None) as bar, resting():
            report = database.write(
                lambda tx: imports.load(tx, RESOURCES, file, wish, bar.update), IMPORTER, dry_run=options.dry_run
            )
    except imports.Refused as refused:
        _print_problems(refused.problems)
        for note in refused.notes:
            print(note, file=sys.stderr)
        return _refuse(refused.detail)
    _print_problems(report.problems)
    for text in (*report.notes, *(f"line {row.line}: {text}" for row in report.rows for text in row.warnings)):
        print(text)
    done = ", ".join(f"{report.count(action)} {action}" for action in ("created", "changed", "unchanged"))
    print(f"{'Would be: ' if options.dry_run else ''}{done}, {report.failed} refused.")
    return 1 if report.failed else 0


@contextmanager
def _read(options: argparse.Namespace) -> Iterator[File]:
    nouns = {noun.plural: noun for noun in RESOURCES}
    noun = nouns.get(options.noun)
    suffix = options.file.suffix.lower()
    if suffix not in (*TABLES, *LINES):
        raise ValueError(
            f"{options.file}: by its suffix it is neither a table ({', '.join(TABLES)}) nor NDJSON ({', '.join(LINES)})."
        )
    if suffix in LINES and (options.columns or options.dates):
        raise ValueError("Only tables have columns, and dates in words.")
    with options.file.open("rb") as source:
        if suffix in LINES:
            yield files.lines(source, nouns, noun)
        elif noun is None:
            raise ValueError("A table is of one noun: say which with --noun.")
        else:
            yield files.table(source, noun, renamed=files.renamed(options.columns), first=options.dates)


def _print_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        place = problem.column or problem.pointer or ""
        print(f"line {problem.line}{', ' if place else ''}{place}: {problem.message}", file=sys.stderr)


def _export(options: argparse.Namespace, settings: Settings) -> int:
    suffix = options.file.suffix.lower().removeprefix(".")
    chosen = options.format or ("ndjson" if suffix == "jsonl" else suffix)
    if chosen not in FORMATS or (chosen == "csv" and options.noun is None):
        raise ValueError("Say with --format in which form, and for CSV with --noun of which noun.")
    nouns = [noun for noun in imports.in_order(RESOURCES) if options.noun in (None, noun.plural)]
    lists = exports.whole(nouns, records.parsed(AsOfQuery, {"as_of": options.as_of}).as_of)
    with _registry(settings) as database, _bar(None) as bar, _in_place(options.file) as file:
        if chosen == "xlsx":
            exports.write_workbook(database.read, lists, file, progress=bar.update)
        else:
            exports.write(database.read, lists, file, _form(chosen, nouns), bar.update)
    return 0


def _backup(options: argparse.Namespace, settings: Settings) -> int:
    backups.backup(settings.database_url, options.file, os.environ, overwrite=options.overwrite)
    print(f"The registry is in {options.file}.")
    return 0


@contextmanager
def _in_place(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when it is whole; what is there stays until then."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)


def _form(chosen: str, nouns: Sequence[Resource[Any]]) -> Form:
    if chosen == "csv":
        return exports.csv(nouns[0])
    return exports.document_set() if chosen == "ndjson" else exports.json_ld("/v1/context.jsonld", "")


def _bar(total: int | None) -> tqdm[Any]:
    """A progress bar, where somebody looks at it."""
    return tqdm(total=total, unit=" records", disable=None, leave=False, file=sys.stderr)
