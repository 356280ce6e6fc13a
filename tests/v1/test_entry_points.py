"""Who knows one address finds everything: the entry point (RFC 8288, RFC 8631) and the API catalogue (RFC 9727, RFC 9264)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.v1 import RESOURCES
from app.kit.filters import ListQuery
from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, authorized, serving
from tests.support.answers import Json, parameters, problem
from tests.support.builders import NOUNS

CATALOG = "/.well-known/api-catalog"
PROFILE = "https://www.rfc-editor.org/info/rfc9727"


@pytest.fixture(scope="module", params=["", "/registry"], ids=["no-prefix", "prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def anywhere(server: Server, prefix: str) -> Iterator[httpx.Client]:
    """The seeded registry, also behind a proxy that puts a prefix in front of its addresses."""
    app = create_app(Settings(database_url=server.fresh("seeded"), root_path=prefix))
    with serving(app) as port, authorized(port) as client:
        yield client


def links_of(answer: httpx.Response) -> list[Json]:
    """The links of an answer's header (RFC 8288)."""
    found = re.findall(r'<([^>]*)>; rel="([^"]*)"; type="([^"]*)"', answer.headers["link"])
    assert len(found) == answer.headers["link"].count("<")
    return [{"rel": rel, "href": href, "type": kind} for href, rel, kind in found]


def media_type(answer: httpx.Response) -> str:
    return answer.headers["content-type"].partition(";")[0]


# --- the entry point ------------------------------------------------------------------------------------------------


def test_the_entry_point_lists_every_noun_with_all_that_its_list_takes(client: httpx.Client) -> None:
    nouns = client.get("/v1").json()["nouns"]
    assert [noun["noun"] for noun in nouns] == list(NOUNS)
    for resource in RESOURCES:
        noun = next(noun for noun in nouns if noun["noun"] == resource.plural)
        assert noun["description"] == resource.model.__doc__
        assert noun["href"] == f"/v1/{noun['noun']}"
        assert client.get(noun["href"], params={"fields": ",".join(noun["fields"])}).status_code == 200
        assert client.get(noun["href"], params={"include": ",".join(noun["include"])}).status_code == 200
        for sort in noun["sorts"]:
            assert client.get(noun["href"], params={"sort": f"-{sort}"}).status_code == 200
        refused = problem(client, client.get(noun["href"], params={"nonsense": "1"}), 400)
        allowed = refused["errors"][0]["message"].removeprefix("Allowed: ").removesuffix(".").split(", ")
        assert set(noun["filters"]) == set(allowed) - {*ListQuery.model_fields}


def test_a_records_address_follows_from_the_template_of_its_noun(registry: httpx.Client) -> None:
    for noun in registry.get("/v1").json()["nouns"]:
        for record in registry.get(noun["href"], params={"limit": 1}).json()["items"]:
            address = re.sub(r"{\w+}", record["slug"], noun["record"])
            assert registry.get(address).json()["id"] == record["id"]


def test_every_operation_with_one_address_is_a_list_or_a_room_of_the_entry_point(
    client: httpx.Client, app: FastAPI
) -> None:
    entry = client.get("/v1").json()
    lists = {noun["href"] for noun in entry["nouns"]}
    rooms = {(room["href"], room["method"].lower(), room["operation"], room["title"]) for room in entry["rooms"]}
    described = {
        (path, verb, about["operationId"], about["summary"])
        for path, verbs in app.openapi()["paths"].items()
        for verb, about in verbs.items()
        if path.startswith("/v1/") and "{" not in path
    }
    assert rooms == {row for row in described if row[0] not in lists}
    assert {"/v1/changes", "/v1/agenda", "/v1/batch"} <= {room["href"] for room in entry["rooms"]}


def test_every_address_of_the_entry_point_leads_somewhere(anywhere: httpx.Client, prefix: str, app: FastAPI) -> None:
    entry = anywhere.get(f"{prefix}/v1").json()
    paths = app.openapi()["paths"]
    readable = [room["href"] for room in entry["rooms"] if room["method"] == "GET"]
    for address in (*readable, *(noun["href"] for noun in entry["nouns"])):
        assert address.startswith(f"{prefix}/v1/")
        parameters = paths[address.removeprefix(prefix)]["get"]["parameters"]
        needed = {each["name"]: each["example"] for each in parameters if each["in"] == "query" and each["required"]}
        answer = anywhere.get(address, params=needed)
        assert answer.status_code in (200, 404), address
        assert answer.status_code == 200 or "id" in needed, address  # of a record, in a registry that has none


def test_the_links_say_where_the_api_is_described_and_of_what_type_that_is(anywhere: httpx.Client, prefix: str) -> None:
    answer = anywhere.get(f"{prefix}/v1")
    links = answer.json()["links"]
    assert links_of(answer) == links_of(anywhere.head(f"{prefix}/v1")) == links_of(anywhere.get(f"{prefix}/")) == links
    assert [link["rel"] for link in links] == ["service-desc", "service-doc", "status", "help", "api-catalog"]
    for link in links:
        found = anywhere.get(link["href"])
        assert (found.status_code, media_type(found)) == (200, link["type"])
        assert link["href"].startswith(f"{prefix}/")


def test_the_entry_point_takes_no_parameters(client: httpx.Client) -> None:
    assert parameters(problem(client, client.get("/v1?sort=name"), 400)) == ["sort"]


def test_the_front_door_leads_to_the_entry_point(client: httpx.Client) -> None:
    assert client.get(client.get("/").json()["v1"]).json()["version"] == "1"


# --- the API catalogue ----------------------------------------------------------------------------------------------


def test_the_catalogue_is_a_set_of_links_and_names_its_profile(client: httpx.Client) -> None:
    answer = client.get(CATALOG)
    assert answer.headers["content-type"] == f'application/linkset+json; profile="{PROFILE}"'
    document = answer.json()
    assert list(document) == ["linkset"]
    for context in document["linkset"]:
        assert isinstance(context.pop("anchor"), str)
        assert context
        for relation, targets in context.items():
            assert re.fullmatch(r"[a-z][a-z-]*", relation)
            assert all(set(target) <= {"href", "type"} and "href" in target for target in targets)
            assert isinstance(targets, list)


def contexts(answer: httpx.Response) -> dict[str, Any]:
    """What a set of links says of each context: relation → targets."""
    return {context.pop("anchor"): context for context in answer.json()["linkset"]}


def test_the_catalogue_links_to_the_api_and_to_what_describes_it(anywhere: httpx.Client, prefix: str) -> None:
    said = contexts(anywhere.get(prefix + CATALOG))
    (item,) = said[prefix + CATALOG]["item"]
    about = said[item["href"]]
    assert item["href"] == f"{prefix}/v1"
    assert list(about) == ["service-desc", "service-doc", "status"]
    for target in (item, *(target for targets in about.values() for target in targets)):
        found = anywhere.get(target["href"])
        assert (found.status_code, media_type(found)) == (200, target["type"])


def test_head_of_the_catalogue_answers_its_relations_as_links(anywhere: httpx.Client, prefix: str) -> None:
    head, got = anywhere.head(prefix + CATALOG), anywhere.get(prefix + CATALOG)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert [(link["rel"], link["href"]) for link in links_of(head)] == [
        ("api-catalog", prefix + CATALOG),
        ("item", f"{prefix}/v1"),
    ]
