"""The command, run as a person runs it."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from unittest import mock

import httpx
import pytest

from app.api.v1 import RESOURCES
from app.cli import main
from app.exchange import documents
from app.kit import records
from app.kit.db import Author
from app.settings import HOME, SEED
from tests.conftest import Server, authorized
from tests.support import programs, waiting
from tests.support.programs import Program
from tests.support.wire import KEY, free_port

SECONDS = 60
until = partial(waiting.until, seconds=SECONDS)


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`concord` in a process of its own, if it serves; else in this one."""
    if arguments[0] == "serve":
        return programs.finished(["-m", "app", *arguments], environment(**settings), SECONDS)
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, environment(**settings), clear=True), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONCORD_")}
    return kept | {f"CONCORD_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def served(
    url: str,
    *arguments: str,
    program: Sequence[str] = ("-m", "app", "serve"),
    home: Path = HOME,
    log: Path | None = None,
    variables: Mapping[str, str] | None = None,
    port: int | None = None,
    fork: bool = True,
    **settings: str,
) -> Iterator[tuple[Program, httpx.Client]]:
    """`concord serve` (or another `program` in Python, or that of another `home`) on a port of the loopback (`port`, or a free
    one), as soon as it answers. What it says goes to `log`. Where its start, its memory or what several workers count is
    looked at, it must be no fork; and where `variables` are given, which modules may look at as they are loaded, it is none."""
    port = port or free_port()
    command = [*program, "--port", str(port), *arguments]
    given = environment(database_url=url, **({"admin_key": KEY} | settings)) | dict(variables or {})
    said = log or Path(os.devnull)
    if fork and home == HOME and variables is None:
        process = programs.fork(command, given, said)
    else:
        process = programs.command(command, given, said, home=home)
    try:
        with authorized(port) as client:
            deadline = time.monotonic() + SECONDS
            while not answers(client):
                assert process.poll() is None, "the server has ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
            yield process, client
    finally:
        process.terminate()
        process.wait(SECONDS)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_migrates_seeds_answers_and_stops_when_told(server: Server, workers: int) -> None:
    with served(server.fresh("blank"), "--workers", str(workers), fork=False) as (process, client):
        assert client.get("/v1/organizations/oecd").json()["acronym"] == "OECD"
        made = client.post("/v1/organizations", json={"name": "Harbour office", "kind": "other"})
        assert made.status_code == 201
        assert client.get("/v1/organizations/harbour-office").json() == made.json()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_serve_stops_while_somebody_listens_to_its_changes(server: Server) -> None:
    listening = {"Accept": "text/event-stream"}
    with (
        served(server.fresh("seeded"), "--no-seed") as (process, client),
        client.stream("GET", "/v1/changes", headers=listening) as stream,
    ):
        assert "created" in next(line for line in stream.iter_lines() if line.startswith("event"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_serve_stops_at_the_keyboard_and_finds_everything_again(server: Server) -> None:
    url = server.fresh("seeded")
    with served(url, fork=False) as (process, client):
        made = client.post("/v1/organizations", json={"name": "Harbour office", "kind": "other"})
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130, -signal.SIGINT)
    with served(url, "--no-migrate", "--no-seed") as (_, client):
        assert client.get("/v1/organizations/harbour-office").json() == made.json()


def test_serve_ends_when_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = run("serve", "--port", port, "--no-seed", database_url=f"sqlite:///{tmp_path / 'registry.db'}")
    assert said.returncode != 0
    assert "in use" in said.stderr
    assert "Traceback" not in said.stderr


def test_help_names_every_command() -> None:
    said = run("--help")
    assert said.returncode == 0
    for command in ("serve", "migrate", "seed"):
        assert command in said.stdout


BAD_SETTINGS = [
    ({"databaseurl": "x"}, "CONCORD_DATABASEURL"),
    ({"pool_size": "many"}, "CONCORD_POOL_SIZE"),
    ({"database_url": ""}, "sqlite:///file"),
    ({"database_url": "registry.db"}, "sqlite:///file"),
    ({"database_url": "mysql://root:hunter2@localhost/x"}, "SQLite and PostgreSQL"),
    ({"database_url": "postgresql+other://me:hunter2@localhost/x"}, "psycopg"),
    ({"database_url": "sqlite+other:///registry.db"}, "SQLite and PostgreSQL"),
    ({"database_url": "sqlite://"}, "file"),
    ({"database_url": "sqlite:////no/such/folder/registry.db"}, "database"),
    ({"database_url": "sqlite:////"}, "database"),
    ({"database_url": "postgresql://me:hunter2@127.0.0.1:1/x"}, "database"),
    ({"database_url": "postgresql://me:hunter2@127.0.0.1:hunter2/x"}, "address"),
    ({"database_url": "postgresql://me:pass@hunter2@127.0.0.1:1/x"}, "%40"),
]


@pytest.mark.parametrize(("settings", "complaint"), BAD_SETTINGS)
def test_what_cannot_be_done_is_said_in_plain_words(
    settings: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"CONCORD_{name.upper()}", value)
    for command in ("migrate", "seed", "serve"):
        assert main([command]) == 1
        said = capsys.readouterr()
        assert said.err.startswith("concord: ")
        assert complaint in said.err
        assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize(("settings", "complaint"), BAD_SETTINGS[::4])
def test_a_complaint_is_all_that_a_terminal_shows(settings: dict[str, str], complaint: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "app", "serve"], cwd=HOME, env=environment(**settings), text=True,
        capture_output=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("concord: ")
    assert complaint in said.stderr
    assert "Traceback" not in said.stderr
    assert "hunter2" not in said.stderr


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Sir or Madam, " * 50)
    before = letter.read_bytes()
    said = run("migrate", database_url=f"sqlite:///{letter}")
    assert said.returncode == 1
    assert "not a database" in said.stderr
    assert letter.read_bytes() == before


@pytest.mark.parametrize("arguments", [(), ("sow",), ("migrate", "now"), ("serve", "--port", "http")])
def test_a_command_that_does_not_exist_is_answered_with_the_usage(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: concord" in capsys.readouterr().err


def test_a_seed_tells_what_it_did_and_what_it_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.fresh("empty")
    monkeypatch.setenv("CONCORD_DATABASE_URL", url)
    assert main(["seed"]) == 0
    total = len(documents.read_folder(SEED, RESOURCES))
    assert capsys.readouterr().out == f"Seed: {total} created, 0 changed, 0 unchanged, 0 kept.\n"
    noun = next(resource for resource in RESOURCES if resource.plural == "organizations")
    database = records.open_database(url, pool_size=1)
    database.write(
        lambda tx: records.change(tx, noun, "eu", lambda old: old | {"acronym": "UE"}, "*"), Author("officer")
    )
    database.close()
    assert main(["seed"]) == 0
    assert capsys.readouterr().out == (
        f"Seed: 0 created, 0 changed, {total - 1} unchanged, 1 kept.\n"
        "  kept organizations/eu: edited by officer in version 2\n"
    )


def test_a_document_that_cannot_be_taken_changes_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.fresh("empty")
    monkeypatch.setenv("CONCORD_DATABASE_URL", url)
    (tmp_path / "other.txt").write_text("Another page.\n")
    (tmp_path / "latin.txt").write_bytes("Cliché.".encode("latin-1"))
    for name, complaint in (
        ("other.txt", "SHA-256"),
        ("latin.txt", "UTF-8"),
        ("none.txt", "none.txt"),
        ("", "directory"),
    ):
        assert main(["seed", "--document", str(tmp_path / name)]) == 1
        assert complaint in capsys.readouterr().err
    database = records.open_database(url, pool_size=1)
    assert database.read(lambda tx: tx.sequence()) == 0
    database.close()


def test_other_commands_start_without_the_web_framework(tmp_path: Path) -> None:
    code = (
        "import sys, app.cli; codes = [app.cli.main([command]) for command in ('migrate', 'seed')];"
        "print(codes, [name for name in ('fastapi', 'starlette', 'uvicorn') if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, env=environment(database_url=f"sqlite:///{tmp_path / 'registry.db'}"),
        text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.splitlines()[-1] == "[0, 0] []"


def test_a_start_that_finds_the_schema_as_it_should_be_does_without_alembic(server: Server) -> None:
    code = "import sys, app.cli; print(app.cli.main(['migrate']), 'alembic' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, env=environment(database_url=server.fresh("seeded")),
        text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.splitlines()[-1] == "0 False"


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_registry_goes_out_into_a_file_and_into_another_one(server: Server, tmp_path: Path) -> None:
    document, again = tmp_path / "all.ndjson", tmp_path / "again.ndjson"
    exported = run("export", str(document), database_url=server.fresh("seeded"))
    assert (exported.returncode, exported.stderr) == (0, "")
    assert len(document.read_text().splitlines()) == 210
    url = server.fresh("empty")
    dry = run("import", str(document), "--dry-run", database_url=url)
    assert dry.stdout == "Would be: 210 created, 0 changed, 0 unchanged, 0 refused.\n"
    assert run("import", str(document), database_url=url).stdout == "210 created, 0 changed, 0 unchanged, 0 refused.\n"
    run("export", str(again), database_url=url)
    assert again.read_bytes() == document.read_bytes()


def test_a_sheet_is_imported_and_its_faults_are_told_line_by_line(server: Server, tmp_path: Path) -> None:
    sheet = tmp_path / "partners.csv"
    sheet.write_text("Partner;Kind;Since\nGood;other;1999\nBad;fund;04/12/2014\n")
    url = server.fresh("empty")
    arguments = ("import", str(sheet), "--noun", "organizations", "--columns", "Partner:name,Kind:kind,Since:founded")
    refused = run(*arguments, database_url=url)
    assert refused.returncode == 1
    assert "line 3, founded: " in refused.stderr
    assert "line 3, kind: " in refused.stderr
    assert "1 row cannot be taken, so nothing was imported." in refused.stderr
    partly = run(*arguments, "--partial", "--dates", "day", database_url=url)
    assert partly.returncode == 1
    assert "1 created, 0 changed, 0 unchanged, 1 refused." in partly.stdout
    sheet.write_text("Partner;Kind;Since\nGood;organ;2000\n")
    assert "1 changed" in run(*arguments, "--mode", "upsert", database_url=url).stdout


@pytest.mark.parametrize(("name", "begin"), [("o.csv", b"id,slug,"), ("o.jsonld", b'{"@context"'), ("o.xlsx", b"PK")])
def test_one_noun_is_exported_in_the_form_that_the_suffix_names(
    server: Server, tmp_path: Path, name: str, begin: bytes
) -> None:
    arguments = ("export", str(tmp_path / name), "--noun", "organizations", "--as-of", "210")
    assert run(*arguments, database_url=server.fresh("seeded")).returncode == 0
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_an_export_that_fails_leaves_the_file_that_is_there(server: Server, tmp_path: Path) -> None:
    backup = tmp_path / "backup.ndjson"
    backup.write_text("what was there")
    assert run("export", str(backup), "--as-of", "99999", database_url=server.fresh("seeded")).returncode == 1
    assert backup.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [backup]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "nowhere.csv", "--noun", "organizations"), "nowhere.csv"),
        (("import", "README.md"), "suffix"),
        (("export", "out.pdf"), "--format"),
        (("export", "out.csv"), "--noun"),
        (("export", "out.ndjson", "--as-of", "yesterday"), "as_of"),
    ],
)
def test_a_file_that_cannot_be_taken_or_made_is_said_in_plain_words(
    server: Server, arguments: tuple[str, ...], said: str
) -> None:
    answer = run(*arguments, database_url=server.fresh("empty"))
    assert answer.returncode == 1
    assert said in answer.stderr or "cannot be taken" in answer.stderr
    assert "Traceback" not in answer.stderr
