"""The command `concord`: each of its words is one call into a floor below."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from app.api.v1 import RESOURCES
from app.exchange import documents, passages
from app.kit import backfill, migrations, records
from app.kit.db import Author, Transaction, make_engine
from app.kit.errors import RegistryError
from app.settings import MIGRATIONS, SEED, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `concord`. Returns the exit code: 0, or 1 with a plain message for what cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options, Settings.from_environment(os.environ))
    except DBAPIError as error:
        return _refuse(f"The database cannot be used: {str(error.orig).strip()}")
    except (migrations.SchemaError, passages.DocumentError, ValueError, OSError) as error:
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
    return parser


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    import uvicorn  # only here: the other commands start faster without it

    if options.no_migrate:
        engine = make_engine(settings.database_url, pool_size=1)
        migrations.verify(engine, MIGRATIONS)
        engine.dispose()
    else:
        _migrate(options, settings)
    if not options.no_seed:
        options.document = None
        _seed(options, settings)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        server_header=False,
    )
    return 0


def _migrate(_: argparse.Namespace, settings: Settings) -> int:
    migrations.migrate(settings.database_url, MIGRATIONS, then=_complete)
    print("The schema is at its newest revision.")
    return 0


def _complete(connection: Connection) -> None:
    made = backfill.complete(Transaction(connection, datetime.now(UTC), Author("migration")), RESOURCES)
    if made:
        print(f"{made} past states were made of the history.")


def _seed(options: argparse.Namespace, settings: Settings) -> int:
    lines = documents.read_folder(SEED, RESOURCES)
    if options.document is not None:
        lines = documents.with_text(lines, passages.read(options.document.read_bytes()))
    database = records.open_database(settings.database_url, pool_size=1)
    try:
        migrations.verify(database.engine, MIGRATIONS)
        report = database.write(lambda tx: documents.load(tx, lines), documents.SEEDER)
    finally:
        database.close()
    print(
        f"Seed: {report.created} created, {report.changed} changed, {report.unchanged} unchanged, {len(report.kept)} kept."
    )
    for kept in report.kept:
        print(f"  kept {kept}")
    return 0
