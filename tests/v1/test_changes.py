"""Changes: the same in commit order as pages, live as events, and as a feed; also while many write."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from xml.etree import ElementTree as Xml

import httpx
from fastapi import FastAPI

from app.api.pulse import Pulse
from tests.support.answers import Json, problem, walk
from tests.support.builders import instrument, organization, patch, withdraw

STREAM, ATOM = {"Accept": "text/event-stream"}, {"Accept": "application/atom+xml"}
NAMES = {"": "http://www.w3.org/2005/Atom", "at": "http://purl.org/atompub/tombstones/1.0"}
WRITERS, WRITES = 8, 15


@contextmanager
def listening(client: httpx.Client, query: str = "", **headers: str) -> Iterator[Iterator[Json]]:
    """The events of a stream, as they come: id, event, data."""
    with client.stream("GET", f"/v1/changes{query}", headers=STREAM | headers, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[Json]:
    event: Json = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            event[name] = value
        elif not line:
            if "data" in event:
                yield {"id": int(event["id"]), "event": event["event"], "data": json.loads(event["data"])}
            event = {}


def take(events: Iterator[Json], count: int) -> list[Json]:
    return [next(events) for _ in range(count)]


def pages(client: httpx.Client, after: int, last: int, *, limit: int = 7) -> list[Json]:
    """The changes up to `last`, page by page, as a client follows them while others write."""
    found: list[Json] = []
    while after < last:
        page = client.get(f"/v1/changes?after={after}&limit={limit}").json()
        found += page["items"]
        after = int(httpx.URL(page["next"]).params["after"])
    return found


def test_the_stream_tells_what_the_pages_tell_and_goes_on_live(client: httpx.Client) -> None:
    record = organization(client)
    with listening(client) as events:
        first = take(events, 1)
        patch(client, organization, record, acronym="X")
        withdraw(client, organization, record, "gone")
        live = take(events, 2)
    told = first + live
    assert [event["data"] for event in told] == walk_changes(client)
    assert [(event["id"], event["event"]) for event in told] == [(1, "created"), (2, "changed"), (3, "withdrawn")]
    assert told[2]["data"]["reason"] == "gone"


def walk_changes(client: httpx.Client) -> list[Json]:
    page = client.get("/v1/changes?limit=200").json()
    items: list[Json] = page["items"]
    return items


def test_a_client_that_comes_back_goes_on_behind_its_last_event(client: httpx.Client) -> None:
    for _ in range(5):
        organization(client)
    with listening(client, "?after=1") as events:
        assert [event["id"] for event in take(events, 2)] == [2, 3]
    with listening(client, "?after=1", **{"Last-Event-ID": "3"}) as events:
        assert [event["id"] for event in take(events, 2)] == [4, 5]


def test_the_stream_takes_the_filter_of_the_list(client: httpx.Client) -> None:
    organization(client)
    with listening(client, "?noun=instruments") as events:
        organization(client)
        instrument(client)
        assert next(events)["data"]["noun"] == "instruments"


def test_what_cannot_be_streamed_is_told_as_a_problem(client: httpx.Client) -> None:
    for last in ("x", "-1", "1.5", "9" * 19):
        problem(client, client.get("/v1/changes", headers=STREAM | {"Last-Event-ID": last}), 400)
    problem(client, client.get("/v1/changes?noun=nothing", headers=STREAM), 422)
    problem(client, client.get("/v1/changes", headers={"Accept": "image/png"}), 406)
    assert client.head("/v1/changes", headers=STREAM).headers["content-type"].startswith("text/event-stream")


def test_a_process_that_has_no_room_for_listeners_says_so(client: httpx.Client, app: FastAPI) -> None:
    app.state.pulse = Pulse(app.state.pulse.look, most=0)
    refused = client.get("/v1/changes", headers=STREAM)
    assert problem(client, refused, 503)
    assert refused.headers["retry-after"]


def test_many_writers_leave_no_gap_and_no_repeat_to_those_who_follow(client: httpx.Client) -> None:
    total = WRITERS * WRITES * 2
    seen: list[Json] = []
    ready = threading.Event()

    def listen() -> None:
        with listening(client) as events:
            ready.set()
            seen.extend(take(events, total))

    def write(_: int) -> None:
        for _ in range(WRITES):
            record = organization(client)
            patch(client, organization, record, description="Described.")

    with ThreadPoolExecutor(WRITERS + 2) as threads:
        listener = threads.submit(listen)
        assert ready.wait(30)
        reader = threads.submit(pages, client, 0, total)
        list(threads.map(write, range(WRITERS)))
        followed = reader.result(30)
        listener.result(30)
    numbers = list(range(1, total + 1))
    assert [change["sequence"] for change in followed] == numbers
    assert [event["id"] for event in seen] == numbers
    assert [event["data"] for event in seen] == followed
    versions: dict[str, int] = {}
    for change in followed:
        assert change["version"] == versions.get(change["id"], 0) + 1
        versions[change["id"]] = change["version"]


def test_the_changes_folded_are_the_registry(registry: httpx.Client) -> None:
    """What a client keeps that applies every change is what the lists answer."""
    kept: dict[tuple[str, str], Json] = {}
    for change in pages(registry, 0, int(registry.get("/v1/changes").headers["etag"].strip('"s')), limit=200):
        key = (change["noun"], change["slug"])
        if change["action"] == "withdrawn":
            kept.pop(key)
        else:
            at = f"/v1/{key[0]}/{key[1]}/revisions/{change['version']}"
            kept[key] = registry.get(at).json()["record"]
    nouns = {noun for noun, _ in kept}
    assert len(nouns) >= 5
    for noun in nouns:
        listed = {item["slug"]: item for item in walk(registry, f"/v1/{noun}?limit=200")}
        assert {slug: item for (of, slug), item in kept.items() if of == noun} == {
            slug: {name: value for name, value in item.items() if name in kept[noun, slug]}
            for slug, item in listed.items()
        }


# --- for people -------------------------------------------------------------------------------------------------------


def feed(client: httpx.Client, query: str = "") -> Xml.Element:
    answer = client.get(f"/v1/changes{query}", headers=ATOM)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/atom+xml"
    return Xml.fromstring(answer.text)  # noqa: S314  # our own


def text(element: Xml.Element, path: str) -> str | None:
    found = element.find(path, NAMES)
    return None if found is None else found.text


def test_the_feed_has_one_entry_a_record_the_newest_first_and_tombstones(client: httpx.Client) -> None:
    kept, gone = organization(client, slug="kept"), organization(client, slug="gone")
    patch(client, organization, kept, acronym="X", description="<b>&")
    withdraw(client, organization, gone, "Twice in the list")
    root = feed(client)
    (entry,) = root.findall("entry", NAMES)
    assert text(entry, "title") == "organizations/kept: changed acronym, description"
    assert text(entry, "id") == f"urn:uuid:{kept['id']}"
    assert text(entry, "author/name") == "tester"
    links = {link.attrib["rel"]: link.attrib["href"] for link in entry.findall("link", NAMES)}
    assert client.get(links["alternate"]).json()["slug"] == "kept"
    assert client.get(links["related"]).json()["version"] == 2
    (tombstone,) = root.findall("at:deleted-entry", NAMES)
    assert tombstone.attrib["ref"] == f"urn:uuid:{gone['id']}"
    assert (text(tombstone, "at:comment"), tombstone.attrib["when"]) == ("Twice in the list", text(root, "updated"))
    assert [child.tag.rpartition("}")[2] for child in root][-2:] == ["deleted-entry", "entry"]


def test_the_feed_takes_the_filters_and_is_not_modified_until_a_write(client: httpx.Client) -> None:
    assert text(feed(client), "updated") == "1970-01-01T00:00:00Z"
    organization(client)
    instrument(client)
    assert len(feed(client, "?limit=1").findall("entry", NAMES)) == 1
    assert len(feed(client, "?noun=organizations").findall("entry", NAMES)) == 1
    assert len(feed(client, "?after=1").findall("entry", NAMES)) == 1
    tag = client.get("/v1/changes", headers=ATOM).headers["etag"]
    assert client.get("/v1/changes", headers=ATOM | {"If-None-Match": tag}).status_code == 304
    assert client.get("/v1/changes", headers={"If-None-Match": tag}).status_code == 200
