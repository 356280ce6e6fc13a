"""The schema's versions: up, down, in step with the models, alone, and never on a database that is not understood."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from contextlib import closing, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.api.v1 import RESOURCES
from app.cli import main
from app.exchange import documents
from app.kit import migrations, past, records
from app.kit.db import Base, Database, Transaction
from app.kit.engines import make_engine
from app.kit.migrations import SchemaError, is_modelled
from app.kit.resource import Resource
from app.main import create_app
from app.settings import HOME, MIGRATIONS, SEED, Settings
from tests.conftest import TESTER, Server
from tests.support import programs
from tests.support.proofs import Proof

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]
HEAD = REVISIONS[-1]


def concord(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return programs.finished(["-m", "app", *arguments], {**os.environ, "CONCORD_DATABASE_URL": url}, 60)


def revision(url: str) -> str | None:
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return current


def differences(url: str) -> list[Any]:
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_modelled})
        found = compare_metadata(context, Base.metadata)
    engine.dispose()
    return list(found)


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        tables = {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=str)
            for table in Base.metadata.sorted_tables
        }
    engine.dispose()
    return tables


def execute(url: str, statement: str) -> None:
    engine = make_engine(url, pool_size=1)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def tables(url: str) -> set[str]:
    engine = make_engine(url, pool_size=1)
    found = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return found


def constraints(url: str) -> dict[str, Any]:
    """Of each table its primary key, and the names and columns of its other constraints and its indexes."""
    engine = make_engine(url, pool_size=1)
    look = sa.inspect(engine)
    found = {}
    for table in filter(lambda name: is_modelled(name, "table", None), look.get_table_names()):
        unique = {(c["name"], *c["column_names"]) for c in look.get_unique_constraints(table)}
        found[table] = {
            "primary key": look.get_pk_constraint(table)["constrained_columns"],
            "foreign keys": {
                (c["name"], *c["constrained_columns"], c["referred_table"], *c["referred_columns"])
                for c in look.get_foreign_keys(table)
            },
            "unique": unique,
            # PostgreSQL also lists the index that a unique constraint is made of.
            "indexes": {(i["name"], *i["column_names"]) for i in look.get_indexes(table) if not i["unique"]},
        }
    engine.dispose()
    return found


def dangling(url: str) -> list[Any]:
    """References to nothing. (PostgreSQL has none, ever.)"""
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        sqlite = engine.dialect.name == "sqlite"
        found = list(connection.exec_driver_sql("PRAGMA foreign_key_check")) if sqlite else []
    engine.dispose()
    return found


def stamp(url: str, *revisions: str) -> None:
    execute(url, "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    for given in revisions:
        execute(url, f"INSERT INTO alembic_version VALUES ('{given}')")  # noqa: S608  # a test's own word


def refused(url: str, command: str) -> str:
    """What `concord` says when it refuses, which it does in plain words and with the exit code 1."""
    complaint = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(complaint):
        patch.setenv("CONCORD_DATABASE_URL", url)
        assert main([command]) == 1
    assert complaint.getvalue().startswith("concord: ")
    return complaint.getvalue()


def not_served(url: str) -> str:
    """The same of `concord serve`, in a process of its own: it would not come back if it did not refuse."""
    said = concord(url, "serve", "--no-migrate", "--no-seed", "--port", "0")
    assert said.returncode == 1, said.stdout + said.stderr
    assert said.stderr.startswith("concord: ")
    assert "Traceback" not in said.stderr
    return said.stderr


def test_every_step_goes_up_from_nothing_and_down_again(server: Server) -> None:
    url = server.fresh("blank")
    for step in REVISIONS:
        migrations.migrate(url, MIGRATIONS, step)
        assert revision(url) == step
    assert differences(url) == []
    for step in (*REVISIONS[-2::-1], "base"):
        migrations.migrate(url, MIGRATIONS, step)
        assert revision(url) == (None if step == "base" else step)
    assert tables(url) == {"alembic_version"}
    migrations.migrate(url, MIGRATIONS)
    assert differences(url) == []
    assert contents(url)["clock"] == [(1, 0)]


@pytest.mark.proves("R15")
def test_every_step_down_and_up_leaves_what_it_is_not_about_as_it_was(server: Server, proof: Proof) -> None:
    url, left = server.fresh("seeded"), list[str]()
    with closing(records.open_database(url, pool_size=1)) as database:
        _edit(database)
    first = oldest = stored(url)
    steps = (*REVISIONS[-2::-1], *REVISIONS[1:])
    for step in steps:
        before = stored(url)
        migrations.migrate(url, MIGRATIONS, step)
        left += unequal(before, stored(url))
        assert dangling(url) == [], step
        oldest = stored(url) if step == REVISIONS[0] else oldest
    assert differences(url) == []
    left += unequal(first, stored(url), within=oldest)
    proof.count("steps of the schema, down and up, on a seeded and edited registry", len(steps), at_least=2)
    proof.count("rows in it", sum(len(rows) for rows in first.values()), at_least=800)
    proof.count("tables that a step is not about, and left otherwise", len(left), at_most=0)


Row = dict[str, Any]


def stored(url: str) -> dict[str, list[Row]]:
    """All rows of all tables, whatever columns they have at this revision."""
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        found = {
            table: [dict(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"').mappings()]  # noqa: S608
            for table in sa.inspect(connection).get_table_names()
            if is_modelled(table, "table", None) and table != "alembic_version"
        }
    engine.dispose()
    return found


def unequal(
    before: dict[str, list[Row]], after: dict[str, list[Row]], within: dict[str, list[Row]] | None = None
) -> list[str]:
    """The tables of both (and of `within`) whose rows are not the same, in the columns that all have."""
    found = []
    for table in before.keys() & after.keys() & (within or before).keys():
        several = [rows[table] for rows in (before, after, within or before)]
        columns = sorted(set.intersection(*(set(rows[0]) if rows else set() for rows in several)))
        old, new = (sorted(str([row[column] for column in columns]) for row in rows) for rows in several[:2])
        if old != new:
            found.append(table)
    return found


def _edit(database: Database) -> None:
    """What people do: change, and withdraw."""
    organizations: Resource[Any] = next(resource for resource in RESOURCES if resource.plural == "organizations")
    for name in ("Names", "Renamed", "Named again"):
        database.write(partial(_change, organizations, {"name": name}), TESTER)
    gone = organizations.write.model_validate({"name": "Gone", "kind": "other"})
    made: records.Stored = database.write(lambda tx: records.create(tx, organizations, gone), TESTER)
    database.write(lambda tx: records.withdraw(tx, organizations, made.slug, records.ANYTHING), TESTER)


def test_a_seeded_registry_goes_down_to_nothing_and_can_be_seeded_anew(server: Server) -> None:
    url = server.fresh("seeded")
    before = {name: len(rows) for name, rows in contents(url).items()} | {"api_key": 0}
    migrations.migrate(url, MIGRATIONS, "base")
    assert tables(url) == {"alembic_version"}
    migrations.migrate(url, MIGRATIONS)
    database = records.open_database(url, pool_size=1)
    database.write(lambda tx: documents.load(tx, documents.read_folder(SEED, RESOURCES)), documents.SEEDER)
    database.close()
    assert {name: len(rows) for name, rows in contents(url).items()} == before
    assert dangling(url) == []


def test_both_databases_have_the_same_constraints_and_indexes_under_the_same_names(
    server: Server, tmp_path: Path
) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    migrations.migrate(other, MIGRATIONS)
    assert constraints(server.fresh("empty")) == constraints(other)


def test_the_revisions_are_one_line_with_one_head() -> None:
    assert SCRIPTS.get_heads() == [HEAD]
    assert [script.down_revision for script in map(SCRIPTS.get_revision, REVISIONS)] == [None, *REVISIONS[:-1]]
    assert migrations.head(MIGRATIONS) == HEAD


def test_scripts_of_which_neither_comes_after_the_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    for name, below in (("first", None), ("left", "first"), ("right", "first")):
        (tmp_path / "versions" / f"{name}.py").write_text(f"revision: str = '{name}'\ndown_revision = {below!r}\n")
    with pytest.raises(SchemaError, match="left and right"):
        migrations.head(tmp_path)
    (tmp_path / "versions" / "both.py").write_text("revision = 'both'\ndown_revision = ('left', 'right')\n")
    assert migrations.head(tmp_path) == "both"


def test_the_migrated_schema_is_the_models(server: Server) -> None:
    assert differences(server.fresh("empty")) == []


def test_migrating_a_seeded_registry_again_changes_no_row(server: Server) -> None:
    url = server.fresh("seeded")
    before = contents(url)
    migrations.migrate(url, MIGRATIONS)
    assert contents(url) == before
    assert dangling(url) == []


def test_every_constraint_and_index_has_a_name_of_its_own_choice(server: Server) -> None:
    engine = make_engine(server.fresh("empty"), pool_size=1)
    inspector = sa.inspect(engine)
    for table in Base.metadata.sorted_tables:
        found = {
            c["name"] for c in (*inspector.get_foreign_keys(table.name), *inspector.get_unique_constraints(table.name))
        }
        found |= {index["name"] for index in inspector.get_indexes(table.name)}
        assert None not in found
        named = [c for c in table.constraints if isinstance(c, sa.ForeignKeyConstraint | sa.UniqueConstraint)]
        assert {str(item.name) for item in (*named, *table.indexes)} <= found
    engine.dispose()


def test_a_newer_database_is_refused_and_left_alone(server: Server) -> None:
    url = server.fresh("seeded")
    execute(url, "UPDATE alembic_version SET version_num = '20990101_later'")
    before, schema = contents(url), constraints(url)
    for complaint in (refused(url, "migrate"), refused(url, "seed"), not_served(url)):
        assert "20990101_later" in complaint
        assert "newer" in complaint
    assert (contents(url), constraints(url)) == (before, schema)
    assert revision(url) == "20990101_later"


def test_a_stamp_without_tables_is_refused(server: Server) -> None:
    url = server.fresh("blank")
    stamp(url, HEAD)
    for command in ("migrate", "seed"):
        assert "stamped" in refused(url, command)
    assert tables(url) == {"alembic_version"}
    assert revision(url) == HEAD


def test_a_table_that_is_missing_is_named(server: Server) -> None:
    url = server.fresh("seeded")
    execute(url, "DROP TABLE citation_passage")
    assert "citation_passage" in refused(url, "migrate")


def test_several_stamps_are_refused_and_left_alone(server: Server) -> None:
    url = server.fresh("seeded")
    stamp(url, "20990101_later")
    before = contents(url)
    for command in ("migrate", "seed"):
        complaint = refused(url, command)
        assert "20990101_later" in complaint
        assert HEAD in complaint
    assert contents(url) == before


def test_a_migration_that_fails_on_the_way_leaves_nothing_behind(server: Server) -> None:
    url = server.fresh("blank")
    execute(url, "CREATE TABLE source (kept VARCHAR(9))")  # somebody else's; the migration makes its own after others
    execute(url, "INSERT INTO source VALUES ('untouched')")
    assert "source" in refused(url, "migrate")
    assert tables(url) - {"alembic_version"} == {"source"}
    assert revision(url) is None
    execute(url, "DROP TABLE source")
    migrations.migrate(url, MIGRATIONS)
    assert differences(url) == []


def test_nothing_is_served_or_seeded_on_an_older_schema(server: Server) -> None:
    url = server.fresh("blank")
    assert "concord migrate" in refused(url, "seed")
    assert "concord migrate" in not_served(url)
    assert tables(url) == set()


def test_the_application_does_not_start_on_a_database_that_was_never_migrated(server: Server) -> None:
    url = server.fresh("blank")
    app = create_app(Settings(database_url=url))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pytest.fail("it has started")

    with pytest.raises(SchemaError, match="Run: concord migrate"):
        asyncio.run(start())
    app.state.database.close()
    assert tables(url) == set()


def test_the_command_alembic_finds_its_settings_in_pyproject(server: Server) -> None:
    url = server.fresh("empty")
    assert HEAD in alembic(url, "current")
    assert "No new upgrade operations detected" in alembic(url, "check")


def test_the_command_alembic_goes_down_and_up_as_well(server: Server) -> None:
    url = server.fresh("seeded")
    alembic(url, "downgrade", "base")
    assert tables(url) == {"alembic_version"}
    alembic(url, "upgrade", "head")
    assert differences(url) == []


def alembic(url: str, *arguments: str) -> str:
    command = [str(Path(sys.executable).parent / "alembic"), *arguments]
    environment = {**os.environ, "CONCORD_DATABASE_URL": url}
    found = subprocess.run(command, cwd=HOME, env=environment, text=True, capture_output=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr + found.stdout
    return found.stdout + found.stderr


def test_a_registry_of_before_the_past_was_kept_knows_its_past_when_it_is_migrated(server: Server) -> None:
    url = server.fresh("seeded")
    organizations = next(resource for resource in RESOURCES if resource.plural == "organizations")
    database = records.open_database(url, pool_size=1)
    for name in ("Names", "Renamed", "Named again"):
        edit = {"name": name, "other_names": [{"value": f"Once {name}", "lang": None, "kind": "alias"}]}
        database.write(partial(_change, organizations, edit), TESTER)
    before = [_as_of(database, organizations, number) for number in range(205, 214)]
    database.close()
    migrations.migrate(url, MIGRATIONS, "20261125_registry")
    said = concord(url, "migrate")
    assert said.returncode == 0
    assert "3 past states were made of the history." in said.stdout
    database = records.open_database(url, pool_size=1)
    assert [_as_of(database, organizations, number) for number in range(205, 214)] == before
    database.close()


def _change(noun: Resource[Any], edit: dict[str, Any], tx: Transaction) -> records.Stored:
    return records.change(tx, noun, "oecd", lambda before: before | edit, records.ANYTHING)


def _as_of(database: Database, noun: Resource[Any], number: int) -> list[bytes]:
    query = noun.query.model_validate({"limit": 200, "sort": "name"})
    return database.read(lambda tx: records.browse(past.at(tx, number), noun, query).items)
