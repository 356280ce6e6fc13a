"""The proxy of docker-compose.yml, a real one with the real file: what it passes on, what it asks again, and what it answers
itself. Then the whole of it, in the order that docker-compose.yml has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import HOME, Settings
from tests.conftest import Server, serving
from tests.containers.compositions import APPS, composition, make_secrets, settings
from tests.containers.layouts import SEEDED, Layout
from tests.support.wire import free_port

PATIENCE = 30
LOOPBACK = "127.0.0.1"
HARBOUR = "/v1/organizations/harbour-office"
SERVICES = composition()["services"]


def caddy() -> str:
    found = shutil.which("caddy", path=sysconfig.get_path("scripts"))
    assert found
    return found


@contextmanager
def proxied(folder: Path, *ports: int) -> Iterator[httpx.Client]:
    """The proxy before servers on these ports of the loopback."""
    port, admin = free_port(), free_port()
    file = folder / "Caddyfile"
    # Only here: not beyond this machine.
    file.write_text((HOME / "containers/Caddyfile").read_text().replace("{\n", f"{{\n\tdefault_bind {LOOPBACK}\n", 1))
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "CADDY_ADMIN": f"{LOOPBACK}:{admin}",
        "SITE_ADDRESS": f"http://{LOOPBACK}:{port}", "UPSTREAMS": " ".join(f"{LOOPBACK}:{port}" for port in ports),
    }  # fmt: skip
    with (folder / "caddy.log").open("w") as log:
        process = subprocess.Popen(
            [caddy(), "run", "--adapter", "caddyfile", "--config", str(file)],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        asked = SERVICES["proxy"]["healthcheck"]["test"][-1].replace("127.0.0.1:2019", f"{LOOPBACK}:{admin}")
        await_answer(process, asked)
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=PATIENCE) as client:
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE)


def await_answer(process: subprocess.Popen[Any], url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, url
        assert time.monotonic() < deadline, url
        time.sleep(0.05)


class Upstream:
    """A server that remembers what it was asked, and answers as it is told."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        while (await receive()).get("more_body"):
            pass
        status = 200
        if scope["path"] != "/readyz":
            headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
            self.asked.append({"method": scope["method"], "path": scope["path"], **dict(headers)})
            status = self.status
        head = [(b"etag", b'"1"'), (b"content-length", b"2"), (b"retry-after", b"7")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"ok"})


@contextmanager
def before(folder: Path, *upstreams: Upstream) -> Iterator[httpx.Client]:
    with ExitStack() as stack:
        ports = [stack.enter_context(serving(upstream)) for upstream in upstreams]
        yield stack.enter_context(proxied(folder, *ports))


def test_it_says_for_whom_it_asks_of_its_own_knowledge(tmp_path: Path) -> None:
    upstream = Upstream()
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    with before(tmp_path, upstream) as client:
        assert client.get("/v1/organizations?q=a%2Fb", headers=forged).status_code == 200
        assert client.base_url.netloc.decode() == upstream.asked[0]["host"]
    asked = upstream.asked[0]
    assert asked["x-forwarded-for"] == LOOPBACK
    assert asked["x-forwarded-proto"] == "http"
    assert asked["x-forwarded-host"] == asked["host"]


def test_it_leaves_entity_tags_and_preconditions_as_they_are(tmp_path: Path) -> None:
    upstream = Upstream()
    with before(tmp_path, upstream) as client:
        answer = client.put(
            "/v1/organizations/x", headers={"If-Match": '"1"', "Accept-Encoding": "gzip"}, content=b"{}"
        )
        assert answer.headers["ETag"] == '"1"'
        assert "Content-Encoding" not in answer.headers
    assert upstream.asked[0]["if-match"] == '"1"'


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_that_finds_no_time_is_asked_of_the_other(tmp_path: Path, method: str) -> None:
    busy, idle = Upstream(503), Upstream()
    with before(tmp_path, busy, idle) as client:
        assert [client.request(method, "/v1").status_code for _ in range(4)] == [200] * 4
    assert len(busy.asked) >= 1
    assert len(idle.asked) == 4


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_is_asked_once(tmp_path: Path, method: str) -> None:
    busy, busy_too = Upstream(503), Upstream(503)
    with before(tmp_path, busy, busy_too) as client:
        answer = client.request(method, "/v1", content=b"{}")
        assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (503, "7", "ok")
    assert len(busy.asked + busy_too.asked) == 1


def test_it_keeps_the_figures_to_itself(tmp_path: Path) -> None:
    upstream = Upstream()
    with before(tmp_path, upstream) as client:
        assert client.get("/metrics").status_code == 404
    assert upstream.asked == []


def is_the_proxys_own(answer: httpx.Response) -> bool:
    return (
        answer.status_code == answer.json()["status"] == 503
        and answer.headers["Content-Type"] == "application/problem+json"
        and answer.headers["Retry-After"] == "2"
        and answer.json()["type"] == "about:blank"
    )


def test_where_none_has_time_a_read_is_asked_of_both_and_no_more(tmp_path: Path) -> None:
    busy, busy_too = Upstream(503), Upstream(503)
    with before(tmp_path, busy, busy_too) as client:
        assert is_the_proxys_own(client.get("/v1"))
    assert 1 <= len(busy.asked) <= 2
    assert len(busy.asked + busy_too.asked) == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_where_none_is_there_it_says_so_in_the_form_of_the_registry(tmp_path: Path, method: str) -> None:
    with proxied(tmp_path, free_port(), free_port()) as client:
        assert is_the_proxys_own(client.request(method, "/v1/organizations", content=b"{}"))


def test_it_takes_the_longest_import_and_no_longer_body() -> None:
    adapted = subprocess.run(
        [caddy(), "adapt", "--adapter", "caddyfile", "--config", str(HOME / "containers/Caddyfile")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sizes = [row["max_size"] for row in walk(json.loads(adapted.stdout)) if "max_size" in row]
    assert sizes == [Settings().max_import_bytes]


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def test_its_file_is_laid_out_as_its_formatter_does() -> None:
    done = subprocess.run(
        [caddy(), "fmt", "--diff", str(HOME / "containers/Caddyfile")], capture_output=True, check=False
    )
    assert not [line for line in done.stdout.splitlines() if line.startswith((b"-", b"+"))]


# --- all of it --------------------------------------------------------------------------------------------------------


@pytest.fixture
def secrets(server: Server, tmp_path: Path) -> Path:
    """As containers/secrets.sh makes them, but for the address of the database, which is the test's."""
    folder = tmp_path / "secrets"
    make_secrets(folder)
    (folder / "database_url").unlink()
    (folder / "database_url").write_text(server.fresh("blank"))
    return folder


def environment(layout: Layout, name: str, secrets: Path) -> dict[str, str]:
    """What docker-compose.yml gives a service, at the places that things have here."""
    given = {key: value.replace("/run/secrets", str(secrets)) for key, value in settings(SERVICES[name]).items()}
    trusted = {key: LOOPBACK for key in given if key == "CONCORD_TRUSTED_PROXIES"}
    return layout.environment(**given | trusted)


def step(layout: Layout, name: str, secrets: Path) -> str:
    """Run a service that ends, and say what it said."""
    done = subprocess.run(
        layout.command(*SERVICES[name]["command"]), cwd=layout.data, env=environment(layout, name, secrets),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def started(layout: Layout, name: str, secrets: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A service that stays, on a port of the loopback; with its address."""
    port = free_port()
    arguments = [LOOPBACK if part == "0.0.0.0" else part for part in SERVICES[name]["command"]]  # noqa: S104
    process = subprocess.Popen(
        [*layout.command(*arguments), "--port", str(port)], cwd=layout.data, env=environment(layout, name, secrets),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process, f"http://{LOOPBACK}:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_from_nothing_to_two_servers_behind_the_proxy(
    layout: Layout, data: Path, server: Server, secrets: Path, tmp_path: Path
) -> None:
    assert "newest revision" in step(layout, "migrate", secrets)
    assert SEEDED in step(layout, "seed", secrets)
    with ExitStack() as stack:
        (first, one), (second, two) = (stack.enter_context(started(layout, name, secrets)) for name in APPS)
        for process, address in ((first, one), (second, two)):
            await_answer(process, f"{address}/readyz")
        client = stack.enter_context(proxied(tmp_path, *(httpx.URL(address).port or 0 for address in (one, two))))
        key = (secrets / "admin_key").read_text()
        written = client.post(
            "/v1/organizations",
            json={"name": "Harbour office", "kind": "other"},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert written.status_code == 201, written.text
        for read in (*(httpx.get(address + HARBOUR) for address in (one, two)), client.get(HARBOUR)):
            assert read.json() == written.json()
        with client.stream("GET", "/v1/changes", headers={"Accept": "text/event-stream"}) as stream:
            assert "created" in next(line for line in stream.iter_lines() if line.startswith("event"))

        first.kill()  # without a word, in the midst of it
        assert {client.get(HARBOUR).status_code for _ in range(20)} == {200}
        second.terminate()
        second.wait(PATIENCE)
        assert is_the_proxys_own(client.get(HARBOUR))
    assert list(data.iterdir()) == []
