"""A39: the registry under a prefix, behind a proxy that strips it and behind one that does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, serving
from tests.support.wire import ANY, JSON, Answer, Wire

PREFIX = "/registry"
Json = dict[str, Any]


@dataclass(frozen=True)
class Proxy:
    """What a browser reaches under the prefix."""

    wire: Wire
    strips: bool

    def request(self, method: str, address: str, *headers: tuple[str, str], body: bytes | None = None) -> Answer:
        """Ask for an address as the browser sees it."""
        assert address.startswith(f"{PREFIX}/") or address == PREFIX, f"{address} leads out of the prefix"
        assert PREFIX * 2 not in address
        target = (address.removeprefix(PREFIX) or "/") if self.strips else address
        return self.wire.request(method, target, headers=headers, body=body)

    def get(self, address: str) -> Answer:
        return self.request("GET", address)


@pytest.fixture(scope="module")
def prefixed(server: Server) -> Iterator[Wire]:
    """The seeded registry, told its prefix."""
    with serving(create_app(Settings(database_url=server.fresh("seeded"), root_path=PREFIX))) as port:
        yield Wire(port)


@pytest.fixture(params=[True, False], ids=["A39-stripping-proxy", "A39-other-proxy"])
def proxy(prefixed: Wire, request: pytest.FixtureRequest) -> Proxy:
    return Proxy(prefixed, request.param)


def test_following_next_walks_every_list_to_its_end(proxy: Proxy) -> None:
    for noun, address in proxy.get(f"{PREFIX}/").json()["nouns"].items():
        total = proxy.get(f"{address}?count=true").json()["total"]
        following, seen = f"{address}?limit=7&fields=slug", []
        while following:
            answer = proxy.get(following)
            assert answer.status == 200, following
            seen += [record["slug"] for record in answer.json()["items"]]
            following = answer.json()["next"]
            assert answer.header("link") == (f'<{following}>; rel="next"' if following else None)
        assert len(set(seen)) == len(seen) == total, noun


def test_following_next_reads_all_changes_and_revisions(proxy: Proxy) -> None:
    for address in (f"{PREFIX}/v1/changes?limit=100", f"{PREFIX}/v1/organizations/ilo/revisions?limit=1"):
        following, pages = address, 0
        while following and proxy.get(following).json()["items"]:
            following, pages = proxy.get(following).json()["next"], pages + 1
        assert pages >= 1


def test_the_location_of_a_new_record_is_its_address(proxy: Proxy) -> None:
    kind = "stripped" if proxy.strips else "whole"
    body = json.dumps({"name": f"New behind a proxy, {kind}", "kind": "other"}).encode()
    created = proxy.request("POST", f"{PREFIX}/v1/organizations", JSON, body=body)
    assert created.status == 201
    location = str(created.header("location"))
    assert proxy.get(location).json() == created.json()
    again = proxy.request("PUT", f"{location}-2", JSON, ("If-None-Match", "*"), body=body.replace(b"New", b"Newer"))
    assert (again.status, again.header("location")) == (201, f"{location}-2")
    assert proxy.request("DELETE", f"{location}-2", ANY).status == 204


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/organizations/none", 404),
        ("GET", "/none", 404),
        ("GET", "/docs/assets/none", 404),
        ("GET", "/v1/organizations/", 404),
        ("GET", "/v1/organizations?x=1", 400),
        ("GET", "/v1/organizations?sort=%FF", 400),
        ("GET", "/v1/organizations?limit=0", 422),
        ("DELETE", "/v1/organizations", 405),
        ("DELETE", "/v1/organizations/ilo", 428),
        ("POST", "/v1/organizations", 415),
    ],
)
def test_a_problem_has_the_address_of_its_page_and_of_what_was_asked(
    proxy: Proxy, method: str, path: str, status: int
) -> None:
    answer = proxy.request(method, PREFIX + path)
    assert answer.status == status
    problem = answer.json()
    assert problem["instance"] == PREFIX + path.partition("?")[0]
    page = proxy.get(problem["type"])
    assert (page.status, problem["title"] in page.body.decode()) == (200, True)


def test_head_options_and_405_know_the_verbs_under_the_prefix(proxy: Proxy) -> None:
    address = f"{PREFIX}/v1/organizations/ilo"
    verbs = "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert proxy.request("OPTIONS", address).header("allow") == verbs
    wrong = proxy.request("POST", address)
    assert (wrong.status, wrong.header("allow")) == (405, verbs)
    head = proxy.request("HEAD", address)
    assert (head.status, head.body, head.header("etag")) == (200, b"", proxy.get(address).header("etag"))


def test_the_description_names_the_prefix_as_its_server_and_every_path_resolves_there(proxy: Proxy) -> None:
    description = proxy.get(f"{PREFIX}/openapi.json").json()
    assert description["servers"] == [{"url": PREFIX}]
    assert not [path for path in description["paths"] if path.startswith(PREFIX)]
    for path, item in description["paths"].items():
        if "get" in item:
            address = re.sub(r"{\w+}", "1", path)
            needed = {
                p["name"]: p["example"] for p in item["get"]["parameters"] if p["in"] == "query" and p["required"]
            }
            answer = proxy.get(f"{PREFIX}{address}?{urlencode(needed)}")
            assert (answer.status == 200) == ("{" not in path) or "id" in needed, path
            assert answer.status in (200, 404), path


def test_the_docs_page_finds_its_files_and_the_description(proxy: Proxy) -> None:
    page = proxy.get(f"{PREFIX}/docs")
    addresses = re.findall(r"""(?:href|src)="([^"]+)"|url: '([^']+)'""", page.body.decode())
    found = [first or second for first, second in addresses]
    assert len(found) == 4  # style, icon, script, description
    for address in found:
        assert proxy.get(address).status == 200, address


def test_the_front_door_and_the_pages_of_problems_lead_nowhere_else(proxy: Proxy) -> None:
    door = proxy.get(f"{PREFIX}/").json()
    for address in (door["docs"], door["openapi"], *door["nouns"].values()):
        assert proxy.get(address).status == 200, address
    problems = re.findall(r'href="([^"]+)"', proxy.get(f"{PREFIX}/problems").body.decode())
    assert len(problems) > 10
    assert all(proxy.get(address).status == 200 for address in problems)


def test_the_prefix_alone_is_the_front_door_or_nothing(proxy: Proxy) -> None:
    assert proxy.get(PREFIX).status in (200, 404)


@pytest.mark.parametrize(
    "path", ["/registry/registry/v1/organizations", "/registryx/v1/organizations", "/Registry/v1/changes"]
)
def test_the_prefix_is_taken_off_once_and_whole(prefixed: Wire, path: str) -> None:
    assert prefixed.request("GET", path).status == 404
