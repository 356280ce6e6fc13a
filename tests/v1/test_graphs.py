"""The graph: who works with whom, in every form, bounded, and as a picture that shows what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from app.exchange import graphs as exchange
from app.exchange import layouts, svg
from app.exchange.layouts import Box, layout
from app.kit.db import Database
from app.kit.text import for_xml
from app.registry import graphs
from tests.contract.test_lists import statements
from tests.support.answers import Json, parameters, problem, walk
from tests.support.builders import collaboration, collaboration_type, organization, patch, succession, withdraw

FORMS = {
    "application/vnd.jgf+json": "json", "application/graphml+xml": "graphml", "application/gexf+xml": "gexf",
    "image/svg+xml": "svg",
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "]]><x/>",
    """A "quoted" & 'single' name""",
    "منظمة العمل الدولية",
    "ארגון <b>",
    "&lt;&#0;",
)
GRAPHML, GEXF, SVG = (f"{{{namespace}}}" for namespace in (exchange.GRAPHML, exchange.GEXF, svg.NAMESPACE))


def asked(client: httpx.Client, query: str = "") -> Json:
    answer = client.get(f"/v1/graph?{query}")
    assert answer.status_code == 200, answer.text
    graph: Json = answer.json()["graph"]
    assert list(graph["nodes"]) == sorted(graph["nodes"])
    assert all(edge[end] in graph["nodes"] for edge in graph["edges"] for end in ("source", "target"))
    assert len({edge["id"] for edge in graph["edges"]}) == len(graph["edges"])
    return graph


def nodes(client: httpx.Client, query: str = "") -> list[str]:
    return list(asked(client, query)["nodes"])


def edges(client: httpx.Client, query: str = "") -> list[tuple[str, str, str]]:
    """(source, target, collaboration or relation) of each edge."""
    found = asked(client, query)["edges"]
    return [(e["source"], e["target"], e["metadata"].get("collaboration", e["relation"])) for e in found]


def bodies(client: httpx.Client, *names: str, **given: Any) -> None:
    for name in names:
        organization(client, slug=name, name=f"Body {name}", **given)


def together(client: httpx.Client, slug: str, *names: str, role: str = "partner", **given: Any) -> Json:
    participants = [{"organization": name, "role": role} for name in names]
    return collaboration(client, slug=slug, title=f"Work {slug}", participants=participants, **given)


def tree(client: httpx.Client, query: str, form: str) -> Xml.Element:
    answer = client.get(f"/v1/graph?{query}", headers={"Accept": form})
    assert (answer.status_code, answer.headers["content-type"]) == (200, form), answer.text
    return Xml.fromstring(answer.content)  # noqa: S314  # what we wrote ourselves


def words(element: Xml.Element) -> str:
    return " ".join(element.itertext())


# --- what is an edge ----------------------------------------------------------------------------------------------------


def test_a_collaboration_connects_each_two_of_its_participants_with_the_roles_of_both(client: httpx.Client) -> None:
    bodies(client, "a", "b", "c")
    kind = collaboration_type(client, slug="project", label="Project")["slug"]
    parts = [("c", "host"), ("a", "speaker"), ("b", "partner"), ("a", "participant"), ("a", "speaker")]
    collaboration(
        client, slug="forum", title="The forum", type=kind, period="1999/..", status="active",
        participants=[{"organization": name, "role": role} for name, role in parts],
    )  # fmt: skip
    assert edges(client) == [("a", "b", "forum"), ("a", "c", "forum"), ("b", "c", "forum")]
    assert asked(client)["edges"][1] == {
        "id": "a--c--forum", "source": "a", "target": "c", "relation": "collaboration", "directed": False,
        "label": "The forum",
        "metadata": {
            "collaboration": "forum", "type": "project", "type_label": "Project", "status": "active", "period": "1999/..",
            "source_roles": ["speaker", "participant"], "target_roles": ["host"],
        },
    }  # fmt: skip


def test_what_an_organization_does_alone_stays_with_its_node(client: httpx.Client) -> None:
    bodies(client, "a", "b")
    parts = [{"organization": "a", "role": "participant"}, {"organization": "a", "role": "speaker"}]
    collaboration(client, slug="forum", title="The forum", participants=parts)
    together(client, "talks", "a", "b")
    graph = asked(client)
    assert edges(client) == [("a", "b", "talks")]
    assert [work["slug"] for work in graph["nodes"]["a"]["metadata"]["alone"]] == ["forum"]
    assert graph["nodes"]["a"]["metadata"]["collaborations"] == 2
    assert graph["nodes"]["b"]["metadata"]["alone"] == []
    assert "The forum" in words(tree(client, "", "image/svg+xml"))


def test_an_organization_without_a_collaboration_is_a_node_of_the_whole_registry(client: httpx.Client) -> None:
    bodies(client, "a", "lonely")
    together(client, "forum", "a")
    assert nodes(client) == ["a", "lonely"]
    gone = organization(client, slug="gone")
    withdraw(client, organization, gone)
    assert nodes(client) == ["a", "lonely"]


def test_no_collaboration_of_the_seed_vanishes(registry: httpx.Client) -> None:
    graph = asked(registry)
    found = {edge["metadata"].get("collaboration") for edge in graph["edges"]} - {None}
    found |= {work["slug"] for node in graph["nodes"].values() for work in node["metadata"]["alone"]}
    listed = walk(registry, "/v1/collaborations?limit=200")
    assert found == {record["slug"] for record in listed if record["participants"]}
    pairs = {
        (*pair, record["slug"])
        for record in listed
        for pair in combinations(sorted({part["organization"] for part in record["participants"]}), 2)
    }
    assert pairs == {edge for edge in edges(registry) if edge[2] != "part_of"}
    assert graph["metadata"] == {"center": None, "truncated": False}


def test_a_withdrawn_collaboration_connects_nobody(client: httpx.Client) -> None:
    bodies(client, "a", "b")
    withdraw(client, collaboration, together(client, "forum", "a", "b"))
    assert edges(client) == []


def test_being_part_of_another_is_an_edge_unless_it_is_not_wanted(client: httpx.Client) -> None:
    bodies(client, "un")
    bodies(client, "unctad", part_of="un")
    assert edges(client) == [("unctad", "un", "part_of")]
    assert edges(client, "structure=false") == []
    assert nodes(client, "center=un") == ["un", "unctad"]
    assert nodes(client, "center=un&structure=false") == ["un"]
    assert asked(client)["edges"][0]["directed"] is True


# --- a part of it ---------------------------------------------------------------------------------------------------------


def chain(client: httpx.Client) -> None:
    """a - b - c - d - e - f, and a part of b."""
    bodies(client, *"abcdef")
    for one, two in zip("abcde", "bcdef", strict=True):
        together(client, f"{one}{two}", one, two)
    bodies(client, "b-part", part_of="b")


def test_around_a_center_are_those_so_many_steps_away(client: httpx.Client) -> None:
    chain(client)
    assert nodes(client, "center=a") == ["a", "b"]
    assert nodes(client, "center=a&depth=2") == ["a", "b", "b-part", "c"]
    assert nodes(client, "center=c&depth=1") == ["b", "c", "d"]
    assert nodes(client, "center=a&depth=4") == ["a", "b", "b-part", "c", "d", "e"]
    identifier = client.get("/v1/organizations/a").json()["id"]
    graph = asked(client, f"center={identifier}&depth=3")
    assert {name: node["metadata"]["steps"] for name, node in graph["nodes"].items()} == {
        "a": 0, "b": 1, "b-part": 2, "c": 2, "d": 3,
    }  # fmt: skip
    assert graph["metadata"]["center"] == "a"


def test_those_around_a_center_show_what_they_do_with_each_other(client: httpx.Client) -> None:
    bodies(client, "a", "b", "c")
    for slug, names in (("ab", "ab"), ("ac", "ac"), ("bc", "bc")):
        together(client, slug, *names)
    assert ("b", "c", "bc") in edges(client, "center=a")


def test_a_center_that_there_is_not_is_not_found_and_one_that_was_withdrawn_is_gone(client: httpx.Client) -> None:
    problem(client, client.get("/v1/graph?center=nobody"), 404)
    withdraw(client, organization, organization(client, slug="gone"))
    assert problem(client, client.get("/v1/graph?center=gone"), 410)["tombstone"]["slug"] == "gone"


def test_a_center_that_was_merged_sends_to_the_other(client: httpx.Client) -> None:
    bodies(client, "old", "new", "friend")
    together(client, "work", "old", "friend")
    merged = client.post("/v1/organizations/old/merge", json={"into": "new"}, headers={"If-Match": "*"})
    assert merged.status_code == 200, merged.text
    collaboration_type(client, slug="old")
    answer = client.get("/v1/graph?depth=2&center=old")
    assert (answer.status_code, answer.headers["location"]) == (308, "/v1/graph?depth=2&center=new")
    typed = client.get("/v1/graph?center=old&type=old")
    assert (typed.status_code, typed.headers["location"]) == (308, "/v1/graph?center=new&type=old")
    assert list(client.get(answer.headers["location"]).json()["graph"]["nodes"]) == ["friend", "new"]


def test_a_type_stands_for_its_narrower_ones(client: httpx.Client) -> None:
    bodies(client, *"abc")
    collaboration_type(client, slug="agreement")
    collaboration_type(client, slug="mou", broader="agreement")
    collaboration_type(client, slug="event")
    together(client, "signed", "a", "b", type="mou")
    together(client, "met", "b", "c", type="event")
    assert edges(client, "type=agreement") == [("a", "b", "signed")]
    assert nodes(client, "type=agreement") == ["a", "b"]
    assert nodes(client, "center=b&type=event") == ["b", "c"]
    assert parameters(problem(client, client.get("/v1/graph?type=treaty"), 422)) == ["type"]


def test_on_a_day_those_are_connected_who_worked_together_then(client: httpx.Client) -> None:
    bodies(client, *"abcd")
    participants = [
        {"organization": "a", "role": "partner"}, {"organization": "b", "role": "partner", "period": "2001/2003"},
        {"organization": "c", "role": "partner", "period": "2010?/.."},
    ]  # fmt: skip
    collaboration(client, slug="long", period="1999/..", participants=participants)
    together(client, "undated", "a", "d")
    assert edges(client, "active_on=2002-06") == [("a", "b", "long")]
    assert edges(client, "active_on=2012") == [("a", "c", "long")]
    assert edges(client, "active_on=2012&match=certain") == []
    assert edges(client, "active_on=1980") == []
    alone = asked(client, "active_on=2012&match=certain")["nodes"]["a"]["metadata"]["alone"]
    assert [work["slug"] for work in alone] == ["long"]
    assert parameters(problem(client, client.get("/v1/graph?active_on=yesterday"), 422)) == ["active_on"]


def test_the_graph_of_a_past_state_is_what_it_was(client: httpx.Client) -> None:
    bodies(client, *"abc")
    record = together(client, "work", "a", "b")
    then = client.get("/v1/changes").headers["etag"].strip('"s')
    patch(client, collaboration, record, participants=[{"organization": name, "role": "host"} for name in "bc"])
    assert edges(client) == [("b", "c", "work")]
    assert edges(client, f"as_of={then}") == [("a", "b", "work")]
    assert nodes(client, f"as_of={then}&center=a") == ["a", "b"]
    assert nodes(client, f"as_of={then}&center=a&depth=3&active_on=2014") == ["a"]


def test_with_lineage_the_predecessors_stand_with_the_center(client: httpx.Client) -> None:
    bodies(client, "gatt", "wto", "friend")
    together(client, "rounds", "gatt", "friend")
    succession(
        client, kind="replacement", date="1995-01-01", predecessors=["gatt"], successors=["wto"], slug="wto-begins"
    )
    assert nodes(client, "center=wto") == ["wto"]
    assert edges(client, "center=wto&lineage=true") == [("friend", "gatt", "rounds"), ("gatt", "wto", "succession")]
    (edge,) = (edge for edge in asked(client, "center=wto&lineage=true")["edges"] if edge["relation"] == "succession")
    assert edge["metadata"] == {"succession": "wto-begins", "date": "1995-01-01"}
    assert "became" in words(tree(client, "center=wto&lineage=true", "image/svg+xml"))


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("depth=2", 422, ["depth"]), ("lineage=true", 422, ["lineage"]), ("center=a&depth=0", 422, ["depth"]),
        ("center=a&depth=5", 422, ["depth"]), ("format=pdf", 422, ["format"]), ("structure=yes", 422, ["structure"]),
        ("match=perhaps", 422, ["match"]), ("limit=10", 400, ["limit"]), ("as_of=9999999", 422, ["as_of"]),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(client: httpx.Client, query: str, status: int, named: list[str]) -> None:
    bodies(client, "a")
    assert parameters(problem(client, client.get(f"/v1/graph?{query}"), status)) == named


# --- its bounds -----------------------------------------------------------------------------------------------------------


def test_of_too_many_organizations_the_most_connected_are_there_and_the_answer_says_so(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MOST_NODES", 3)
    bodies(client, *"abcde")
    for n, names in enumerate(("ce", "ce", "cd", "de", "ab")):
        together(client, f"w{n}", *names)
    graph = asked(client)
    assert (list(graph["nodes"]), graph["metadata"]["truncated"]) == (["c", "d", "e"], True)
    around = asked(client, "center=a&depth=4")
    assert (list(around["nodes"]), around["metadata"]["truncated"]) == (["a", "b"], False)
    assert asked(client, "center=c")["metadata"]["truncated"] is False
    monkeypatch.setattr(graphs, "MOST_NODES", 2)
    nearest = asked(client, "center=c")
    assert (list(nearest["nodes"]), nearest["metadata"]["truncated"]) == (["c", "e"], True)
    monkeypatch.setattr(graphs, "MOST_NODES", 1)
    assert asked(client, "center=c&depth=3")["metadata"]["truncated"] is True
    assert "the most connected of more" in words(tree(client, "center=c", "image/svg+xml"))


def test_of_too_many_edges_and_lone_works_some_are_there_and_the_answer_says_so(
    client: httpx.Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies(client, *"abcd")
    together(client, "all", *"abcd")
    for n in range(3):
        together(client, f"lone-{n}", "a")
    monkeypatch.setattr(graphs, "MOST_EDGES", 6)
    monkeypatch.setattr(graphs, "MOST_ALONE", 3)
    assert asked(client)["metadata"]["truncated"] is False
    monkeypatch.setattr(graphs, "MOST_EDGES", 5)
    app.state.kept.forget()
    graph = asked(client)
    assert (len(graph["edges"]), graph["metadata"]["truncated"]) == (5, True)
    monkeypatch.setattr(graphs, "MOST_EDGES", 6)
    monkeypatch.setattr(graphs, "MOST_ALONE", 2)
    app.state.kept.forget()  # what was written is the same, what the program may show is not
    graph = asked(client)
    assert (len(graph["nodes"]["a"]["metadata"]["alone"]), graph["metadata"]["truncated"]) == (2, True)
    assert graph["nodes"]["a"]["metadata"]["collaborations"] == 4


def test_the_graph_costs_the_same_statements_whatever_its_size(client: httpx.Client, database: Database) -> None:
    def costs() -> list[int]:
        found = []
        for query in ("", "center=a", "center=a&depth=2", "center=a&depth=2&type=kind&active_on=2014&lineage=true"):
            with statements(database) as sent:
                assert client.get(f"/v1/graph?{query}").status_code == 200
            found.append(len(sent))
        return found

    collaboration_type(client, slug="kind")
    bodies(client, *"abcd")
    together(client, "one", "a", "b", type="kind", period="2014")
    together(client, "two", "b", "c", type="kind", period="2014")
    small = costs()
    assert small == [4, 6, 7, 10]
    for n in range(12):
        bodies(client, f"n{n}")
        together(client, f"more-{n}", "a", "b", f"n{n}", type="kind", period="2014")
    assert costs() == small


# --- its forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "name"), FORMS.items())
def test_accept_or_a_parameter_chooses_the_form_and_each_has_its_own_tag(
    registry: httpx.Client, form: str, name: str
) -> None:
    answer = registry.get("/v1/graph", headers={"Accept": f"{form}, text/html;q=0.5"})
    assert (answer.headers["content-type"], answer.headers["vary"]) == (form, "Accept")
    named = registry.get(f"/v1/graph?format={name}", headers={"Accept": "image/png"})
    assert named.content == answer.content
    assert named.headers["content-type"] == ("application/json" if name == "json" else form)
    tag = answer.headers["etag"]
    assert re.fullmatch(r'"s210\.(jgf|graphml|gexf|svg)"', tag)
    again = registry.get("/v1/graph", headers={"Accept": form, "If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["vary"]) == (304, b"", "Accept")
    other = next(each for each in FORMS if each != form)
    assert registry.get("/v1/graph", headers={"Accept": other, "If-None-Match": tag}).status_code == 200
    organization(registry)
    assert registry.get("/v1/graph", headers={"Accept": form, "If-None-Match": tag}).status_code == 200


def test_plain_json_is_json_graph_format_too_and_anything_else_is_not_acceptable(registry: httpx.Client) -> None:
    plain = registry.get("/v1/graph", headers={"Accept": "application/json"})
    assert plain.headers["content-type"] == "application/json"
    assert plain.json() == registry.get("/v1/graph").json()
    assert registry.get("/v1/graph").headers["content-type"] == "application/vnd.jgf+json"
    problem(registry, registry.get("/v1/graph", headers={"Accept": "image/png"}), 406)


def test_graphml_holds_the_same_nodes_and_edges(registry: httpx.Client) -> None:
    graph, root = asked(registry), tree(registry, "", "application/graphml+xml")
    keys = {key.get("id"): key.get("attr.name") for key in root.iter(f"{GRAPHML}key")}

    def data(element: Xml.Element) -> dict[str | None, str | None]:
        return {keys[each.get("key")]: each.text for each in element.iter(f"{GRAPHML}data")}

    found = {node.get("id"): data(node) for node in root.iter(f"{GRAPHML}node")}
    assert list(found) == list(graph["nodes"])
    assert found["ilo"]["name"] == graph["nodes"]["ilo"]["label"]
    assert found["ilo"]["alone"] == "annual-forum-bhr"
    drawn = {
        edge.get("id"): (edge.get("source"), edge.get("target"), data(edge)) for edge in root.iter(f"{GRAPHML}edge")
    }
    assert list(drawn) == [edge["id"] for edge in graph["edges"]]
    for edge in graph["edges"]:
        source, target, about = drawn[edge["id"]]
        assert (source, target) == (edge["source"], edge["target"])
        assert about["relation"] == edge["relation"]
        assert about.get("period") == edge["metadata"].get("period")
        assert (about.get("source_roles") or "").split() == edge["metadata"].get("source_roles", [])


def test_gexf_says_from_when_until_when_an_edge_may_have_been(client: httpx.Client) -> None:
    bodies(client, "a", "b")
    periods = {
        "one": "2014", "two": "1999/..", "three": "../2005", "four": "2011?", "five": None, "six": "2014-12-04/2015-03",
    }  # fmt: skip
    for slug, period in periods.items():
        together(client, slug, "a", "b", period=period)
    root = tree(client, "", "application/gexf+xml")
    found = {str(edge.get("id"))[6:]: (edge.get("start"), edge.get("end")) for edge in root.iter(f"{GEXF}edge")}
    assert found == {
        "one": ("2014-01-01", "2014-12-31"), "two": ("1999-01-01", None), "three": (None, "2005-12-31"),
        "four": ("2011-01-01", "2011-12-31"), "five": (None, None), "six": ("2014-12-04", "2015-03-31"),
    }  # fmt: skip
    declared = {each.get("id") for each in root.iter(f"{GEXF}attribute")}
    assert {each.get("for") for each in root.iter(f"{GEXF}attvalue")} <= declared
    assert [node.get("id") for node in root.iter(f"{GEXF}node")] == ["a", "b"]


# --- the picture ------------------------------------------------------------------------------------------------------------


def circles(root: Xml.Element, style: str) -> Iterable[tuple[float, float, float]]:
    for circle in root.iter(f"{SVG}circle"):
        if circle.get("class") == style:
            x, y, radius = (float(str(circle.get(name))) for name in ("cx", "cy", "r"))
            yield x, y, radius


@pytest.mark.parametrize(
    "query", ["", "center=ilo", "center=unctad&depth=2", "center=unctad&type=event", "type=training"]
)
def test_a_picture_is_self_contained_described_and_the_same_each_time(registry: httpx.Client, query: str) -> None:
    answer = registry.get(f"/v1/graph?{query}&format=svg".replace("?&", "?"))
    root = Xml.fromstring(answer.content)  # noqa: S314
    assert (root.tag, root.get("role"), root.get("aria-labelledby")) == (f"{SVG}svg", "img", "title desc")
    assert [child.tag.removeprefix(SVG) for child in root][:2] == ["title", "desc"]
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "defs", "marker", "path", "g", "circle", "text",
    }  # fmt: skip
    assert not re.search(rb"href|url\((?!#)|@import|javascript|\son\w+=", answer.content)
    assert "prefers-color-scheme:dark" in words(root)
    policy = answer.headers["content-security-policy"]
    assert policy == f"default-src 'none'; style-src '{svg.STYLE_HASH}'; frame-ancestors 'none'"
    assert registry.get(f"/v1/graph?{query}&format=svg".replace("?&", "?")).content == answer.content


def test_the_center_is_in_the_middle_and_everybody_has_a_label_and_a_title(registry: httpx.Client) -> None:
    root = tree(registry, "center=ilo", "image/svg+xml")
    ((x, y, _),) = circles(root, "node center")
    left, _, width, _ = map(float, str(root.get("viewBox")).split())
    assert (x, y) == (0, 0)
    assert abs(left + width / 2) <= 0.2
    titles = {str(title.text) for title in root.iter(f"{SVG}title")}
    labels = " ".join(str(text.text) for text in root.iter(f"{SVG}text"))
    for record in asked(registry, "center=ilo")["nodes"].values():
        assert any(title.startswith(record["label"]) for title in titles)
        assert (record["metadata"]["acronym"] or record["label"]) in labels
    for label in {edge["metadata"].get("type_label") for edge in asked(registry, "center=ilo")["edges"]} - {None}:
        assert f"{label} (" in labels  # the legend


def test_labels_do_not_cover_nodes(registry: httpx.Client) -> None:
    for query in ("", "center=ilo", "center=unctad&depth=2"):
        root = tree(registry, query, "image/svg+xml")
        nodes = [*circles(root, "node"), *circles(root, "node center")]
        for text in root.iter(f"{SVG}text"):
            if "halo" in str(text.get("class")):
                x, y, half = float(str(text.get("x"))), float(str(text.get("y"))), svg.measure(str(text.text)) / 2
                for cx, cy, radius in nodes:
                    inside = abs(cx - x) < half + radius and y - 10 - radius < cy < y + 3 + radius
                    assert not inside or cy + radius < y - 8, (query, text.text)


def test_a_line_is_wider_the_more_collaborations_it_stands_for(client: httpx.Client) -> None:
    bodies(client, "a", "b", "c")
    collaboration_type(client, slug="kind", label="Kind")
    for n in range(3):
        together(client, f"ab-{n}", "a", "b", type="kind")
    together(client, "ac", "a", "c", type="kind")
    root = tree(client, "", "image/svg+xml")
    lines = [path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    widths = {words(path): float(str(path.get("stroke-width"))) for path in lines}
    (wide,), (narrow,) = (
        [width for told, width in widths.items() if work in told] for work in ("Work ab-0", "Work ac")
    )
    assert wide > narrow
    assert any("Work ab-0; Work ab-1; Work ab-2" in told for told in widths)


def test_a_type_may_have_the_name_of_a_style_and_a_body_a_thousand_collaborations(client: httpx.Client) -> None:
    bodies(client, "un")
    bodies(client, "unctad", part_of="un")
    together(client, "work", "un", "unctad", type=collaboration_type(client, slug="part", label="Part")["slug"])
    styles = [path.get("class") for path in tree(client, "", "image/svg+xml").iter(f"{SVG}path")]
    assert styles.count("edge c0 k0") == styles.count("edge part") == 2  # each once more in the legend
    for n in range(20):
        together(client, f"lone-{n:02}", "un")
    told = words(tree(client, "", "image/svg+xml"))
    assert "Work lone-11; and 8 more" in told
    assert "Work lone-12" not in told
    assert "21 collaborations" in told


@pytest.mark.parametrize("query", ["", "center=first"])
def test_names_are_text_and_nothing_else(client: httpx.Client, query: str) -> None:
    kind = collaboration_type(client, label='Kind <script>"&]]>')["slug"]
    names = ["first"]
    organization(client, slug="first", name="First", acronym="<i>F</i>")
    for n, name in enumerate(HOSTILE):
        names.append(organization(client, slug=f"h{n}", name=name)["slug"])
    together(client, "work", *names, type=kind)
    for form in ("application/graphml+xml", "application/gexf+xml", "image/svg+xml"):
        root = tree(client, query, form)
        held = words(root) + " ".join(value for element in root.iter() for value in element.attrib.values())
        assert all(name in held for name in HOSTILE), form
        assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "x", "b", "i"}


@given(st.text(max_size=40))
def test_every_text_can_stand_in_xml(text: str) -> None:
    root = Xml.Element("a")
    root.text = for_xml(text)
    read = Xml.fromstring(Xml.tostring(root, encoding="utf-8")).text or ""  # noqa: S314
    assert read == for_xml(text).replace("\r\n", "\n").replace("\r", "\n")
    assert for_xml("a\x1db\x00\ufffe") == "a\ufffdb\ufffd\ufffd"


SHAPES: dict[str, Callable[[int], list[tuple[int, int]]]] = {
    "tree": lambda size: [(n // 3, n) for n in range(1, size - size // 10)],
    "pairs": lambda size: [(n - 1, n) for n in range(1, size, 2)],
    "nothing": lambda _: [],
    "everything": lambda size: list(combinations(range(min(size, 20)), 2)),
}


@pytest.mark.parametrize("size", [0, 1, 2, 7, 40, 130])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("centered", [False, True])
def test_no_two_boxes_of_a_layout_overlap(
    size: int,
    shape: Callable[[int], list[tuple[int, int]]],
    centered: bool,  # noqa: FBT001  # the parameter of a test
) -> None:
    boxes = [Box(20 + n % 7 * 12, 10, 24 + n % 3 * 14) for n in range(size)]
    pairs = shape(size)
    points = layout(pairs, boxes, center=0 if centered and size else None, unit=(120, 100))
    assert points == layout(pairs, boxes, center=0 if centered and size else None, unit=(120, 100))
    if centered and size:
        assert points[0] == (0, 0)
    for (one, (x, y)), (two, (u, v)) in combinations(enumerate(points), 2):
        across = boxes[one].side + boxes[two].side - abs(x - u)
        down = (
            y + boxes[one].below - (v - boxes[two].above) if y <= v else v + boxes[two].below - (y - boxes[one].above)
        )
        assert min(across, down) <= 1, (one, two)


def test_a_registry_without_organizations_is_an_empty_graph_in_every_form(client: httpx.Client) -> None:
    assert (nodes(client), edges(client)) == ([], [])
    for form in FORMS:
        assert client.get("/v1/graph", headers={"Accept": form}).status_code == 200
    assert layouts.layout([], [], center=None, unit=(1, 1)) == []
