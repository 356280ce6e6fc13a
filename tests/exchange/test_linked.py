"""Linked data: what a program that knows RDF, and nothing of the registry, reads in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import rdflib
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rdflib.compare import isomorphic
from rdflib.namespace import DCTERMS, FOAF, ORG, RDF, SKOS, XSD

from app.api.v1 import RESOURCES, collaboration_types, collaborations, organizations, reviews, sources
from app.exchange import linked
from app.kit import records
from app.kit.resource import COMMON, Reference, Resource
from app.kit.shapes import shape_of

Json = dict[str, Any]
BASE = "https://registry.example/prefix"
DOCUMENT = (Path(__file__).parent.parent.parent / "docs/linked-data.md").read_text()
OA, SKOSXL, SDG, SCHEMA = (rdflib.Namespace(linked.PREFIXES[name]) for name in ("oa", "skosxl", "sdg", "schema"))
OWN = rdflib.Namespace(linked.OWN)
EDTF = rdflib.Namespace(linked.PREFIXES["edtf"]).EDTF
# rdflib's reader of JSON-LD still makes what rdflib tells everybody not to make.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
every_noun = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)


def _parsed(*nodes: linked.Node) -> rdflib.Graph:
    return _read(b"".join(linked.graph(linked.CONTEXT, nodes)))


@cache
def _read(data: bytes) -> rdflib.Graph:
    """Its triples; the same registry is asked by several tests, and none changes it."""
    return rdflib.Graph().parse(data=data, format="json-ld")


def _iri(noun: str, slug: str) -> rdflib.URIRef:
    return rdflib.URIRef(f"{BASE}/v1/{noun}/{slug}")


def _edtf(text: str) -> rdflib.Literal:
    return rdflib.Literal(text, datatype=EDTF)


def _record(resource: Resource[Any], **fields: Any) -> Json:
    """A record as GET would answer it."""
    own: Json = records.validated(resource, fields).model_dump(mode="json")
    return {"slug": "a", "version": 3, "id": "0190", "created_at": "2026-03-01T09:00:00Z"} | own | {"slug": "a"}


def _node(resource: Resource[Any], **fields: Any) -> rdflib.Graph:
    return _parsed(linked.document(resource, _record(resource, **fields), BASE))


@pytest.fixture
def seeds(registry: httpx.Client) -> list[tuple[Resource[Any], Json]]:
    """Every record of the seeded registry, as GET answers it."""
    return [
        (noun, record)
        for noun in RESOURCES
        for record in registry.get(f"/v1/{noun.plural}", params={"limit": "200"}).json()["items"]
    ]


@pytest.fixture
def triples(seeds: list[tuple[Resource[Any], Json]]) -> rdflib.Graph:
    return _parsed(linked.scheme(BASE), *(linked.document(noun, record, BASE) for noun, record in seeds))


# --- the seeded registry --------------------------------------------------------------------------------------------


def test_the_seeded_registry_says_what_a_reader_of_rdf_would_ask(triples: rdflib.Graph) -> None:
    oecd, wif = _iri("organizations", "oecd"), _iri("collaborations", "world-investment-forum")
    assert (oecd, RDF.type, ORG.Organization) in triples
    assert (oecd, RDF.type, ORG.FormalOrganization) in triples
    assert (oecd, SKOS.altLabel, rdflib.Literal("OECD")) in triples
    assert (_iri("organizations", "ilo-governing-body"), ORG.subOrganizationOf, _iri("organizations", "ilo")) in triples
    assert (wif, RDF.type, ORG.OrganizationalCollaboration) in triples
    assert (wif, ORG.classification, _iri("collaboration-types", "joint-event")) in triples
    assert (wif, DCTERMS.temporal, _edtf("2014/..")) in triples
    memberships = {
        (triples.value(m, ORG.member), triples.value(m, ORG.role), triples.value(m, DCTERMS.temporal))
        for m in triples.subjects(ORG.organization, wif)
        if (m, RDF.type, ORG.Membership) in triples
    }
    role = OWN["ParticipantRole-co_organizer"]
    periods = {"ilo": "2014/..", "unctad": "2014/..", "waipa": "2018"}
    assert memberships == {(_iri("organizations", slug), role, _edtf(text)) for slug, text in periods.items()}
    launch = _iri("milestones", "global-compact-launch")
    assert (launch, DCTERMS.date, _edtf("1999")) in triples
    assert (launch, SCHEMA.about, _iri("collaborations", "global-compact")) in triples
    principles, goals = _iri("instruments", "ungc-ten-principles"), _iri("instruments", "ilo-declaration-fprw")
    assert (principles, DCTERMS.references, goals) in triples
    cited = set(triples.objects(None, OA.hasBody))
    assert cited == {_iri("sources", "mne-declaration-page")}
    assert (None, OA.hasTarget, oecd) in triples


def test_the_types_are_a_tree_in_one_scheme(triples: rdflib.Graph) -> None:
    scheme = rdflib.URIRef(f"{BASE}/v1/collaboration-types")
    concepts = set(triples.subjects(SKOS.inScheme, scheme))
    assert len(concepts) == 19
    assert (scheme, RDF.type, SKOS.ConceptScheme) in triples
    for concept in concepts:
        above = list(triples.transitive_objects(concept, SKOS.broader))
        assert [label.language for label in triples.objects(concept, SKOS.prefLabel)] == ["en"]  # type: ignore[attr-defined]
        assert set(above) <= concepts
        assert (above[-1], SKOS.topConceptOf, scheme) in triples  # so it goes in no circle
        assert ((concept, SKOS.topConceptOf, scheme) in triples) == ((concept, SKOS.broader, None) not in triples)


def test_every_record_is_told_of_by_its_record_node(
    seeds: list[tuple[Resource[Any], Json]], triples: rdflib.Graph
) -> None:
    for noun, record in seeds:
        subject = _iri(noun.plural, record["slug"])
        [about] = triples.objects(subject, FOAF.isPrimaryTopicOf)
        assert (about, DCTERMS.identifier, rdflib.Literal(record["id"])) in triples
        [created] = triples.objects(about, DCTERMS.created)
        assert created.toPython() == datetime.fromisoformat(record["created_at"])  # type: ignore[attr-defined]
        assert (subject, DCTERMS.created, None) not in triples
        cited = {_iri("sources", slug) for slug in record.get("evidence", {"sources": []})["sources"]}
        assert set(triples.objects(about, DCTERMS.source)) == cited


def test_nothing_that_is_stated_gets_lost_on_the_way(seeds: list[tuple[Resource[Any], Json]]) -> None:
    for noun, record in seeds:
        node, name = linked.document(noun, record, BASE), linked.class_of(noun)
        stated = {field for field in records.own(noun, record) if record[field] not in (None, "", [], {})}
        assert not any(value in (None, "", [], {}) for value in node.values())
        assert stated <= set(node) | {
            field.partition(".")[2] for field in linked.LEFT_OUT if field.startswith(f"{name}.")
        }


def test_what_is_read_is_the_same_in_turtle(triples: rdflib.Graph) -> None:
    again = rdflib.Graph().parse(data=triples.serialize(format="turtle"), format="turtle")
    assert len(again) == len(triples) > 3000
    assert isomorphic(again, triples)


def test_own_words_are_all_declared(triples: rdflib.Graph) -> None:
    declared = _parsed(*linked.terms(RESOURCES))
    for _, predicate, value in triples:
        for word in (predicate, value):
            if str(word).startswith(linked.OWN):
                assert (word, RDF.type, None) in declared
    words = [node["@id"] for node in linked.terms(RESOURCES)]
    assert len(set(words)) == len(words)
    assert (OWN["ParticipantRole-host"], RDF.type, ORG.Role) in declared
    assert (OWN["Support-implies"], SKOS.definition, rdflib.Literal("It follows from what it says.")) in declared


# --- the context ----------------------------------------------------------------------------------------------------


def _fields(name: str, cls: type[BaseModel]) -> Iterator[tuple[str, str, FieldInfo]]:
    """The class, name and description of every field, of the objects inside too."""
    for field, info in cls.model_fields.items():
        part = shape_of(info).part
        yield name, field, info
        if part is not None and field != "evidence":
            yield from _fields(part.__name__, part)


def test_a_class_of_the_context_is_one_class() -> None:
    found: dict[str, type[BaseModel]] = {}
    for resource in RESOURCES:
        assert found.setdefault(linked.class_of(resource), resource.write) is resource.write
        for _, _, info in _fields("", resource.write):
            part = shape_of(info).part
            assert part is None or found.setdefault(part.__name__, part) is part


@every_noun
def test_every_field_has_a_property_or_a_reason_to_have_none(resource: Resource[Any]) -> None:
    kept = linked.CLASSES["Record"].terms
    for name, field, info in _fields(linked.class_of(resource), resource.read):
        if field == "evidence":
            part = shape_of(info).part
            assert part is not None
            assert all(inner in kept or f"*.evidence.{inner}" in linked.LEFT_OUT for inner in part.model_fields)
        elif field in COMMON and field in resource.read.model_fields and name == linked.class_of(resource):
            assert field in kept or f"*.{field}" in linked.LEFT_OUT
        else:
            cls = linked.CLASSES.get(name)
            assert (cls is not None and field in cls.terms) != (f"{name}.{field}" in linked.LEFT_OUT), (name, field)


@every_noun
def test_what_names_something_is_read_as_a_name_and_what_is_a_date_as_a_date(resource: Resource[Any]) -> None:
    for name, field, info in _fields(linked.class_of(resource), resource.write):
        term = linked.CLASSES[name].terms.get(field) if name in linked.CLASSES else None
        shape = shape_of(info)
        if term is None or field in COMMON:
            continue
        if shape.vocabulary is not None or any(isinstance(mark, Reference) for mark in shape.marks):
            assert term.type == "@id", (name, field)
        if shape.edtf:
            assert term.type == "edtf:EDTF", (name, field)
        if shape.is_a(datetime):
            assert term.type == "xsd:dateTime", (name, field)


def test_properties_are_of_the_vocabularies_that_are_named_and_own_ones_have_a_reason() -> None:
    reasons = {term.iri: term.why for cls in linked.CLASSES.values() for term in cls.terms.values() if term.why}
    for cls in linked.CLASSES.values():
        for iri in (*cls.types, *(term.iri for term in cls.terms.values())):
            assert iri.partition(":")[0] in linked.PREFIXES
        for term in cls.terms.values():
            where = term.iri in ("concord:paragraph", "concord:sentence")  # as concord:section
            assert not term.iri.startswith("concord:") or where or term.iri in reasons
    for name in linked.LEFT_OUT:
        assert linked.LEFT_OUT[name]


def test_terms_of_the_standards_are_spelt_as_these_spell_them() -> None:
    known = {
        prefix: namespace
        for prefix, namespace in vars(rdflib.namespace).items()
        if isinstance(namespace, type) and issubclass(namespace, rdflib.namespace.DefinedNamespace)
    }
    spaces = {"dcterms": "DCTERMS", "foaf": "FOAF", "org": "ORG", "prov": "PROV", "skos": "SKOS"}
    for prefix, space in spaces.items():
        assert str(known[space]._NS) == linked.PREFIXES[prefix]
        for cls in linked.CLASSES.values():
            for iri in (*cls.types, *(term.iri for term in cls.terms.values())):
                if iri.startswith(f"{prefix}:"):
                    assert iri.partition(":")[2] in known[space], iri


@pytest.mark.parametrize("name", linked.CLASSES)
def test_the_tables_in_the_documents_are_the_context(name: str) -> None:
    cls = linked.CLASSES[name]
    section = DOCUMENT.split(f"\n## {name}: ")[1].split("\n## ")[0]
    assert section.startswith(", ".join(f"`{iri}`" for iri in cls.types) + "\n")
    assert cls.why in section.replace("\n", " ")
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{field}` | `{'^' if '@reverse' in term.more else ''}{term.iri}` | {term.type or ''} | {term.why} |"
        for field, term in cls.terms.items()
    ]


def test_what_is_left_out_is_documented() -> None:
    for name, why in linked.LEFT_OUT.items():
        assert f"| `{name}` | {why} |" in DOCUMENT


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_hostile_texts_survive() -> None:
    for text in (
        '"""',
        "'''\\",
        "</script><script>",
        "a\nb\tc",
        "@id",
        "_:b0",
        "é漢🜁",
        "{}",
        "concord:x",
        "\\u0041",
        "<a> <b> <c> .",
    ):
        graph = _node(organizations.RESOURCE, name="N", kind="other", description=text)
        again = rdflib.Graph().parse(data=graph.serialize(format="turtle"), format="turtle")
        for read in (graph, again):
            assert [str(found) for found in read.objects(None, DCTERMS.description)] == [text]


def test_names_have_their_language_and_their_kind() -> None:
    names = [{"value": "OCDE", "lang": "fr", "kind": "acronym"}, {"value": "OEEC", "kind": "former"}]
    graph = _node(organizations.RESOURCE, name="OECD", kind="other", other_names=names)
    body = _iri("organizations", "a")
    assert set(graph.objects(body, SKOS.altLabel)) == {rdflib.Literal("OCDE", lang="fr"), rdflib.Literal("OEEC")}
    kinds = {
        graph.value(x, SKOSXL.literalForm): graph.value(x, DCTERMS.type) for x in graph.objects(body, SKOSXL.altLabel)
    }
    assert kinds[rdflib.Literal("OCDE", lang="fr")] == OWN["NameKind-acronym"]


def test_a_group_is_no_organization_and_an_organ_is_a_unit_of_one() -> None:
    body = _iri("organizations", "a")
    group = _node(organizations.RESOURCE, name="Enterprises", kind="group", acronym="E")
    assert set(group.objects(body, RDF.type)) == {FOAF.Group}
    assert (body, SKOS.altLabel, rdflib.Literal("E")) in group
    organ = _node(organizations.RESOURCE, name="Body", kind="organ", part_of="ilo")
    assert set(organ.objects(body, RDF.type)) == {ORG.Organization, ORG.OrganizationalUnit}


def test_an_identifier_keeps_its_scheme() -> None:
    identifiers = [{"scheme": "ror", "value": "02e2c7k09", "url": "https://ror.example/02e2c7k09"}]
    graph = _node(organizations.RESOURCE, name="N", kind="other", identifiers=identifiers)
    [found] = graph.objects(_iri("organizations", "a"), SCHEMA.identifier)
    assert graph.value(found, SCHEMA.propertyID) == rdflib.Literal("ror")
    assert graph.value(found, SCHEMA.url) == rdflib.URIRef("https://ror.example/02e2c7k09")


def test_a_concept_has_one_preferred_label_a_language() -> None:
    labels = {"en": "Skills", "fr": "Formation"}
    graph = _node(collaboration_types.RESOURCE, label="Training", labels=labels, exact_matches=["urn:x:1"])
    concept = _iri("collaboration-types", "a")
    preferred = {rdflib.Literal("Training", lang="en"), rdflib.Literal("Formation", lang="fr")}
    assert set(graph.objects(concept, SKOS.prefLabel)) == preferred
    assert set(graph.objects(concept, SKOS.altLabel)) == {rdflib.Literal("Skills", lang="en")}
    assert (concept, SKOS.exactMatch, rdflib.URIRef("urn:x:1")) in graph


def test_goals_have_the_names_that_the_united_nations_gave_them() -> None:
    graph = _node(collaborations.RESOURCE, title="T", type="x", sdgs=[4, 17])
    assert set(graph.objects(None, DCTERMS.subject)) == {SDG["4"], SDG["17"]}


def test_a_review_is_an_activity_once_it_was_held() -> None:
    items = [{"collaboration": "global-compact", "finding": "continue", "note": "Well done."}]
    for status in ("planned", "held"):
        graph = _node(reviews.RESOURCE, title="T", status=status, items=items)
        types = set(graph.objects(_iri("reviews", "a"), RDF.type))
        assert (rdflib.URIRef(linked.PREFIXES["prov"] + "Activity") in types) == (status == "held")
        [item] = graph.objects(_iri("reviews", "a"), OWN.item)
        assert (item, OWN.finding, OWN["Finding-continue"]) in graph
        assert (item, SCHEMA.itemReviewed, _iri("collaborations", "global-compact")) in graph


def test_a_date_is_one_that_other_readers_of_edtf_know() -> None:
    for text, wanted in (("2018-Q1/2018-Q3", "2018-33/2018-35"), ("1999/..", "1999/.."), ("2011?", "2011?")):
        graph = _node(collaborations.RESOURCE, title="T", type="x", period=text)
        assert set(graph.objects(None, DCTERMS.temporal)) == {_edtf(wanted)}


def test_a_moment_is_a_moment_and_a_passage_a_part() -> None:
    passages = [{"section": 0, "paragraph": 1, "sentence": 2, "fingerprint": "0" * 64}]
    graph = _node(sources.RESOURCE, title="T", kind="report", retrieved="2026-02-01T08:30:00Z", passages=passages)
    [read] = graph.objects(_iri("sources", "a"), rdflib.URIRef(linked.PREFIXES["pav"] + "retrievedOn"))
    assert read.datatype == XSD.dateTime  # type: ignore[attr-defined]
    [part] = graph.objects(_iri("sources", "a"), DCTERMS.hasPart)
    assert (part, OWN.section, rdflib.Literal(0)) in graph


def test_a_field_that_nobody_has_named_yet_is_a_word_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: cls for name, cls in linked.CLASSES.items() if name != "Organization"}
    record = _record(organizations.RESOURCE, name="N", kind="other", part_of="ilo")
    monkeypatch.setattr(linked, "CLASSES", known)
    monkeypatch.setattr(linked, "_REFINED", {})
    monkeypatch.setattr(linked, "CONTEXT", {k: v for k, v in linked.CONTEXT.items() if k != "Organization"})
    graph = _parsed(linked.document(organizations.RESOURCE, record, BASE))
    body = _iri("organizations", "a")
    assert (body, RDF.type, OWN.Organization) in graph
    assert (body, OWN.part_of, _iri("organizations", "ilo")) in graph
    assert (body, OWN.kind, OWN["OrganizationKind-other"]) in graph


def test_a_document_comes_in_pieces_and_names_its_context() -> None:
    address = f"{BASE}/v1/context.jsonld"
    assert json.loads(b"".join(linked.graph(address, []))) == {"@context": address, "@graph": []}
    nodes: list[linked.Node] = [{"@id": "urn:a"}, {"@id": "urn:b"}]
    pieces = list(linked.graph(address, iter(nodes)))
    assert len(pieces) == len(nodes) + 2
    assert json.loads(b"".join(pieces)) == {"@context": address, "@graph": nodes}
