"""The doctor finds each thing that is broken, and says what to do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.api.v1 import RESOURCES
from app.cli import main
from app.exchange import doctor
from app.exchange.doctor import CHECKS, Finding, Verdict
from app.exchange.passages import fingerprint
from app.kit import records
from app.kit.db import Database
from app.kit.resource import Resource
from app.settings import Settings
from tests.conftest import TESTER, Server

NOUN: dict[str, Resource[Any]] = {resource.plural: resource for resource in RESOURCES}


def examined(database: Database, **given: Any) -> dict[str, Finding]:
    """What the doctor finds, by check."""
    environment = given.pop("environment", {})
    url = database.engine.url.render_as_string(hide_password=False)
    settings = replace(Settings(database_url=url), **given)
    return {finding.check: finding for finding in doctor.examine(settings, database, RESOURCES, environment)}


def amiss(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {name: finding.verdict for name, finding in found.items() if finding.verdict is not Verdict.ok}


def execute(database: Database, *statements: str) -> None:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def text_stored(database: Database) -> None:
    """A source whose one passage is there with its text."""
    passage = {
        "section": 1,
        "paragraph": 1,
        "sentence": 1,
        "fingerprint": fingerprint("It is so."),
        "text": "It is so.",
    }
    values = {"title": "A page", "slug": "a-page", "kind": "web_page", "passages": [passage]}
    data: BaseModel = records.validated(NOUN["sources"], values)
    database.write(lambda tx: records.create(tx, NOUN["sources"], data), TESTER)


def test_a_registry_that_was_just_made_is_well(seeded: Database) -> None:
    text_stored(seeded)
    found = examined(seeded)
    assert amiss(found) == {}
    expected = [check.name for check in CHECKS if check.only in (None, seeded.engine.dialect.name)]
    assert list(found) == expected
    assert "210 as seeded, 0 changed" in found["seed"].found
    assert "1 stored passage" in found["fingerprints"].found
    assert "211 writes" in found["clock"].found


def test_an_empty_registry_is_well(database: Database) -> None:
    found = examined(database)
    assert amiss(found) == {}
    assert found["seed"].found == "not loaded"


def test_what_people_changed_is_counted_and_no_fault(seeded: Database) -> None:
    noun = NOUN["organizations"]
    seeded.write(lambda tx: records.change(tx, noun, "eu", lambda old: old | {"acronym": "UE"}, "*"), TESTER)
    seeded.write(lambda tx: records.withdraw(tx, NOUN["citations"], first(seeded, "citation"), "*"), TESTER)
    found = examined(seeded)
    assert amiss(found) == {}
    assert "208 as seeded, 1 changed since, 1 withdrawn" in found["seed"].found


def first(database: Database, table: str) -> str:
    with database.engine.connect() as connection:
        return str(connection.exec_driver_sql(f"SELECT slug FROM {table} LIMIT 1").scalar_one())  # noqa: S608  # ours


BROKEN: dict[str, tuple[tuple[str, ...], dict[str, Verdict], str]] = {
    "at another revision": (
        ("UPDATE alembic_version SET version_num = 'another'",), {"schema": Verdict.wrong}, "another"),
    "never migrated": (("DELETE FROM alembic_version",), {"schema": Verdict.wrong}, "concord migrate"),
    "a table is gone": (("DROP TABLE organization_merge",), {"schema": Verdict.wrong}, "organization_merge"),
    "a column too many": (("ALTER TABLE organization ADD COLUMN mine TEXT",), {"tables": Verdict.wrong}, "mine"),
    "a clock behind": (("UPDATE clock SET seq = 5",), {"clock": Verdict.wrong}, "5"),
    "a write is gone": (
        ("DELETE FROM revision WHERE seq = 7",), {"clock": Verdict.wrong, "seed": Verdict.warning}, "210 are there"),
    "another text": (
        ("UPDATE source_passage SET text = 'It is not so.' WHERE text IS NOT NULL",),
        {"fingerprints": Verdict.wrong}, "a-page 1.1.1"),
    "a passage is gone": (
        ("DELETE FROM source_passage WHERE section = 2",), {"citations": Verdict.warning}, "no such passage"),
    "nobody gives out keys": (
        ("UPDATE api_key SET revoked_at = created_at",), {"keys": Verdict.warning}, "concord key create"),
    "not to be found": (
        ("DELETE FROM search_text WHERE noun = 'organizations'",), {"search": Verdict.wrong}, "concord reindex"),
    "found in vain": (
        ("UPDATE organization SET withdrawn_at = created_at WHERE slug = 'oecd'",), {"search": Verdict.wrong}, "1 are found"),
    "some of the seed is gone": (
        ("DELETE FROM citation_passage", "DELETE FROM citation"),
        {"seed": Verdict.warning}, "concord seed"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found_and_what_to_do_is_said(seeded: Database, what: str) -> None:
    statements, expected, said = BROKEN[what]
    text_stored(seeded)
    execute(seeded, *statements)
    found = examined(seeded)
    assert amiss(found) == expected
    name = next(iter(expected))
    assert said in f"{found[name].found} {found[name].do}"
    assert found[name].do or name == "schema"  # whose words say it themselves


def test_the_index_of_search_is_made_anew(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_DATABASE_URL", seeded.engine.url.render_as_string(hide_password=False))
    execute(seeded, "DELETE FROM search_text", "DELETE FROM search_index")
    assert amiss(examined(seeded)) == {"search": Verdict.wrong}
    assert main(["reindex"]) == 0
    assert amiss(examined(seeded)) == {}


ODD: list[tuple[dict[str, Any], str]] = [
    ({"read_only": True}, "CONCORD_READ_ONLY"),
    ({"max_import_bytes": 1}, "CONCORD_MAX_IMPORT_BYTES"),
    ({"pool_size": 500}, "CONCORD_POOL_SIZE"),
    ({"telemetry": True}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
]


@pytest.mark.parametrize(("given", "said"), ODD)
def test_an_odd_setting_is_a_warning(database: Database, given: dict[str, Any], said: str) -> None:
    found = examined(database, **given)
    assert amiss(found) == {"settings": Verdict.warning}
    assert said in found["settings"].do


def test_a_database_that_is_not_there_stops_the_rest(tmp_path: Path) -> None:
    for url, check in (
        (f"sqlite:///{tmp_path / 'none.db'}", "file"),
        ("postgresql://nobody:hunter2@127.0.0.1:1/none", "database"),
    ):
        database = records.open_database(url, pool_size=1)
        found = examined(database)
        database.close()
        assert amiss(found) == {check: Verdict.wrong}
        assert list(found) == ["settings", check]
        assert "hunter2" not in str(found)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.engine.dialect.name != "sqlite":
        assert "disk" not in examined(database)  # it is the server's
        return
    usage = shutil.disk_usage("/")
    for free, verdict in ((2**20, Verdict.wrong), (doctor.LEAST_FREE, Verdict.ok)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert examined(database)["disk"].verdict is verdict


def test_a_file_that_everybody_may_write_is_told(database: Database) -> None:
    if (path := database.engine.url.database) and database.engine.dialect.name == "sqlite":
        Path(path).chmod(0o666)
        found = examined(database)
        assert amiss(found) == {"file": Verdict.warning}
        assert "chmod" in found["file"].do
    else:
        assert "file" not in examined(database)


def test_a_damaged_file_is_told(tmp_path: Path, seeded: Database) -> None:
    if seeded.engine.dialect.name != "sqlite":
        assert "integrity" not in examined(seeded)
        return
    execute(seeded, "PRAGMA wal_checkpoint(TRUNCATE)")
    body = bytearray(Path(str(seeded.engine.url.database)).read_bytes())
    body[-40_960:] = bytes(40_960)
    copy = tmp_path / "damaged.db"
    copy.write_bytes(body)
    database = records.open_database(f"sqlite:///{copy}", pool_size=1)
    found = examined(database)
    database.close()
    assert found["integrity"].verdict is Verdict.wrong
    assert "search" not in found


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_a_line_a_check_and_fails_when_something_is_wrong(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.fresh("seeded")
    monkeypatch.setenv("CONCORD_DATABASE_URL", url)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok       ") for line in lines)
    database = records.open_database(url, pool_size=1)
    execute(database, "UPDATE clock SET seq = 5")
    database.close()
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "wrong"
    assert [check["check"] for check in told["checks"] if check["verdict"] != "ok"] == ["clock"]
    assert all(set(check) == {"check", "verdict", "found", "do"} for check in told["checks"])


def test_a_variable_that_is_unknown_is_said_by_the_doctor_too(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONCORD_DATABASE_URI", server.fresh("empty"))
    assert main(["doctor"]) == 1
    assert "CONCORD_DATABASE_URI is not a setting" in capsys.readouterr().err


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
