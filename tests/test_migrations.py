"""The schema's versions: up, down, in step with the models, alone, and never on a database that is not understood."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.kit import migrations
from app.kit.db import Base, make_engine
from app.kit.migrations import SchemaError
from app.settings import HOME, MIGRATIONS
from tests.conftest import Server

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]
HEAD = REVISIONS[-1]


def concord(url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CONCORD_DATABASE_URL": url}
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.Popen(
        command, cwd=HOME, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def revision(url: str) -> str | None:
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return current


def differences(url: str) -> list[Any]:
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
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


@pytest.mark.parametrize("step", REVISIONS)
def test_each_step_goes_up_to_the_newest_and_down_to_nothing(server: Server, step: str) -> None:
    url = server.fresh("blank")
    migrations.migrate(url, MIGRATIONS, step)
    assert revision(url) == step
    migrations.migrate(url, MIGRATIONS)
    assert revision(url) == HEAD
    migrations.migrate(url, MIGRATIONS, "base")
    assert revision(url) is None
    migrations.migrate(url, MIGRATIONS)
    assert differences(url) == []


def test_the_migrated_schema_is_the_models(server: Server) -> None:
    assert differences(server.fresh("empty")) == []


def test_migrating_a_seeded_registry_again_changes_no_row(server: Server) -> None:
    url = server.fresh("seeded")
    before = contents(url)
    migrations.migrate(url, MIGRATIONS)
    assert contents(url) == before


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


def test_ten_processes_migrate_and_seed_at_once(server: Server) -> None:
    url = server.fresh("blank")
    migrating = [concord(url, "migrate") for _ in range(10)]
    assert [process.wait(120) for process in migrating] == [0] * 10
    seeding = [concord(url, "seed") for _ in range(4)]
    said = [process.communicate(timeout=120)[0] for process in seeding]
    assert [process.returncode for process in seeding] == [0] * 4
    assert sum(" 0 created" not in text for text in said) == 1
    assert len(contents(url)["clock"]) == 1
    assert revision(url) == HEAD
    for process in migrating:
        process.communicate()


def test_a_newer_database_is_refused_and_left_alone(server: Server) -> None:
    url = server.fresh("seeded")
    execute(url, "UPDATE alembic_version SET version_num = '20990101_later'")
    before = contents(url)
    process = concord(url, "migrate")
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "20990101_later" in complaint
    assert "newer" in complaint
    assert "Traceback" not in complaint
    assert contents(url) == before


def test_a_stamp_without_tables_is_refused(server: Server) -> None:
    url = server.fresh("blank")
    execute(url, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    execute(url, f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608  # our own revision
    with pytest.raises(SchemaError, match="stamped"):
        migrations.migrate(url, MIGRATIONS)


def test_nothing_is_served_or_seeded_on_an_older_schema(server: Server) -> None:
    url = server.fresh("blank")
    for arguments in (("seed",), ("serve", "--no-migrate", "--no-seed", "--port", "0")):
        process = concord(url, *arguments)
        said, complaint = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "concord migrate" in said + complaint


def test_the_command_alembic_finds_its_settings_in_pyproject(server: Server) -> None:
    url = server.fresh("empty")
    command = [str(Path(sys.executable).parent / "alembic"), "current"]
    environment = {**os.environ, "CONCORD_DATABASE_URL": url}
    found = subprocess.run(command, cwd=HOME, env=environment, text=True, capture_output=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr
    assert HEAD in found.stdout
