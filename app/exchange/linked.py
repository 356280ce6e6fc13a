"""Linked data: records as nodes of JSON-LD 1.1, in the words of ORG, SKOS, PROV-O and Dublin Core.

A node is what the record is about (an organization, a text, an event), under the record's address. What is known of the record
itself (its version, when it was written, from which sources) hangs on a node of its own, `#record`: the ILO was not created in
2026.

Each class has the context of its own fields (a type-scoped context), so that `date` or `kind` may mean different things.
Own words stand for what the vocabularies have none for, each with its reason; a URN names them: the registry owns no domain.
docs/linked-data.md shows all of it in tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import BaseModel

from app.kit.resource import Embedded, Linked, Plan, Planned, Resource, Rows
from app.kit.shapes import shapes_of
from app.kit.vocabularies import Vocabulary
from app.registry.collaborations import ParticipantRole
from app.registry.organizations import OrganizationKind
from app.registry.reviews import HeldStatus

MEDIA_TYPE = "application/ld+json"
OWN = "urn:uuid:3f4a1f1f-e57e-4af7-b784-bf8b23e48079#"
"""The namespace of our own words."""
PREFIXES = {
    "concord": OWN,
    "dcterms": "http://purl.org/dc/terms/",
    "edtf": "http://id.loc.gov/datatypes/edtf/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "oa": "http://www.w3.org/ns/oa#",
    "org": "http://www.w3.org/ns/org#",
    "pav": "http://purl.org/pav/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "https://schema.org/",
    "sdg": "http://metadata.un.org/sdg/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "skosxl": "http://www.w3.org/2008/05/skos-xl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
Node = dict[str, Any]
_NOTHING: tuple[Any, ...] = (None, "", [], {})
_QUARTER = re.compile("-Q([1-4])")
"""The registry's own way to write a quarter, which EDTF knows as 33 to 36."""


@dataclass(frozen=True, slots=True)
class Term:
    """What a field is called: its property; the type of its values (`@id`: they name things); what stands before a value to
    make it a name; what else its context says; and why it is this one, where that is not obvious."""

    iri: str
    type: str | None = None
    before: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def definition(self) -> dict[str, Any]:
        named = {} if "@reverse" in self.more else {"@id": self.iri}
        return {**named, **({"@type": self.type} if self.type else {}), **self.more}


@dataclass(frozen=True, slots=True)
class Class:
    """What the records of a noun, or the objects in them, are, and what their fields are called."""

    types: tuple[str, ...]
    terms: Mapping[str, Term]
    why: str = ""


def _text(iri: str, why: str = "") -> Term:
    return Term(iri, why=why)


def _named(iri: str, why: str = "", *, before: str = "") -> Term:
    return Term(iri, "@id", before, why=why)


def _date(iri: str, why: str = "") -> Term:
    return Term(iri, "edtf:EDTF", why=why)


def _moment(iri: str, why: str = "") -> Term:
    return Term(iri, "xsd:dateTime", why=why)


_STATUS = _named("concord:status", "Nobody else says that a promise was not kept, or that work is done on request.")
_WHERE = {
    "section": _text("concord:section", "Where a sentence stands; a text selector would need the text."),
    "paragraph": _text("concord:paragraph"),
    "sentence": _text("concord:sentence"),
}
_REVIEWED = _text("concord:reviewEveryMonths", "dcterms:accrualPeriodicity is for collections.")

CLASSES: Mapping[str, Class] = {
    "Record": Class(
        ("foaf:Document",),
        {
            "id": _text("dcterms:identifier"),
            "version": _text("pav:version", "dcterms:hasVersion leads to another resource; this is a number."),
            "created_at": _moment("dcterms:created"),
            "updated_at": _moment("dcterms:modified"),
            "sources": _named("dcterms:source", "The sources that are cited for it: `evidence.sources`."),
        },
        why="The record, not the thing that it is about.",
    ),
    "Organization": Class(
        ("org:Organization",),
        {
            "name": _text("skos:prefLabel", "As ORG asks."),
            "acronym": _text("skos:altLabel"),
            "other_names": _text("skosxl:altLabel", "With its kind; in `alt_labels` by language."),
            "alt_labels": _text("skos:altLabel", "The values of `other_names`."),
            "kind": _named("org:classification"),
            "part_of": _named("org:subOrganizationOf", "org:unitOf would claim that it is no body of its own."),
            "description": _text("dcterms:description"),
            "url": _named("foaf:homepage"),
            "country": _text("concord:country", "ORG has addresses of sites, and nobody states a site."),
            "founded": _date("schema:foundingDate", "ORG has founding only as an event."),
            "dissolved": _date("schema:dissolutionDate"),
            "identifiers": _text("schema:identifier", "org:identifier is typed by a scheme that is known."),
        },
        why="Also org:FormalOrganization where its kind says that a treaty or the law made it, org:OrganizationalUnit "
        "where it is an organ or working group of another body. A `group` is a foaf:Group instead: enterprises at large "
        "are no organization.",
    ),
    "OtherName": Class(
        ("skosxl:Label",),
        {
            "value": _text("skosxl:literalForm", "With its language."),
            "kind": _named("dcterms:type"),
        },
    ),
    "Identifier": Class(
        ("schema:PropertyValue",),
        {"scheme": _text("schema:propertyID"), "value": _text("schema:value"), "url": _named("schema:url")},
    ),
    "CollaborationType": Class(
        ("skos:Concept",),
        {
            "label": Term("skos:prefLabel", more={"@language": "en"}),
            "labels": Term("skos:prefLabel", more={"@container": "@language"}),
            "alt_labels": _text("skos:altLabel", "A second English label: SKOS has one skos:prefLabel a language."),
            "definition": _text("skos:definition"),
            "broader": _named("skos:broader"),
            "exact_matches": _named("skos:exactMatch"),
            "review_every_months": _REVIEWED,
            "scheme": _named("skos:inScheme", "The list of the types is the scheme."),
            "top_of": _named("skos:topConceptOf", "Where nothing is broader."),
        },
    ),
    "ConceptScheme": Class(("skos:ConceptScheme",), {"title": _text("dcterms:title")}),
    "Instrument": Class(
        ("dcterms:BibliographicResource",),
        {
            "title": _text("dcterms:title"),
            "short_title": _text("dcterms:alternative"),
            "kind": _named("dcterms:type"),
            "description": _text("dcterms:description"),
            "issuer": _named("dcterms:creator", "A body is the creator of its declarations (RDA 19.2)."),
            "adopted": _date("dcterms:issued"),
            "revised": _date("dcterms:modified", "The text's latest revision; the record's is that of `#record`."),
            "url": _named("schema:url", "Dublin Core has no address that is not an identifier."),
            "replaces": _named("dcterms:replaces"),
            "refers_to": _named("dcterms:references"),
        },
    ),
    "Collaboration": Class(
        ("org:OrganizationalCollaboration",),
        {
            "title": _text("skos:prefLabel", "A collaboration is an organization to ORG, and is called like one."),
            "summary": _text("dcterms:description"),
            "type": _named("org:classification"),
            "status": _STATUS,
            "period": _date("dcterms:temporal"),
            "part_of": _named("dcterms:isPartOf", "It is part of a programme, not of a body."),
            "instruments": _named("dcterms:relation", "It rests on them: dcterms:conformsTo would claim more."),
            "sdgs": _named("dcterms:subject", "As the United Nations name the goals.", before="sdg:"),
            "participants": Term(
                "org:organization",
                more={"@reverse": "org:organization"},
                why="Turned round: the membership names the collaboration. Its order is not told.",
            ),
            "review_every_months": _REVIEWED,
        },
    ),
    "Participant": Class(
        ("org:Membership",),
        {
            "organization": _named("org:member"),
            "role": _named("org:role"),
            "period": _date("dcterms:temporal", "org:memberDuring needs an interval with two exact ends."),
            "on_behalf_of": _named("concord:onBehalfOf", "prov:actedOnBehalfOf holds between bodies, in all they do."),
            "note": _text("skos:note"),
        },
    ),
    "Milestone": Class(
        ("schema:Event",),
        {
            "title": _text("dcterms:title"),
            "kind": _named("dcterms:type"),
            "collaboration": _named("schema:about"),
            "instrument": _named("schema:about"),
            "organization": _named("schema:about"),
            "date": _date("dcterms:date"),
            "due": _date("concord:due", "When it was promised for: no vocabulary keeps that beside the date."),
            "status": _STATUS,
            "description": _text("dcterms:description"),
            "place": _text("schema:location"),
            "url": _named("schema:url"),
        },
        why="Not prov:Activity: what is planned, or was not met, has not happened.",
    ),
    "Source": Class(
        ("dcterms:BibliographicResource", "prov:Entity"),
        {
            "title": _text("dcterms:title"),
            "kind": _named("dcterms:type"),
            "publisher": _named("dcterms:publisher"),
            "symbol": _text("dcterms:identifier"),
            "url": _named("schema:url"),
            "language": _text("schema:inLanguage", "A BCP 47 tag; dcterms:language leads to a resource."),
            "published": _date("dcterms:issued"),
            "retrieved": _moment("pav:retrievedOn", "PROV-O and Dublin Core do not say when something was read."),
            "replaces": _named("dcterms:replaces"),
            "sha256": _text("schema:sha256"),
            "passages": _text("dcterms:hasPart"),
        },
    ),
    "Passage": Class(
        ("dcterms:BibliographicResource",),
        {
            **_WHERE,
            "fingerprint": _text("concord:fingerprint", "SHA-256 of the sentence in normal form, not of bytes."),
            "text": _text("schema:text"),
        },
    ),
    "Citation": Class(
        ("oa:Annotation",),
        {
            "source": _named("oa:hasBody"),
            "passages": _text("concord:passage", "Web Annotation selects in a text, which need not be there."),
            "target": _named("oa:hasTarget", "The record that it is evidence for."),
            "field": _text("concord:field", "JSON Pointer into the record: its selectors point into texts."),
            "stated_value": _text("concord:statedValue", "What the passages say the field is; no other word for it."),
            "support": _named("concord:support", "CiTO tells how works cite works, not what a sentence is to a fact."),
            "note": _text("skos:note"),
        },
    ),
    "Place": Class(("concord:Place",), _WHERE, why="A place in a source, which may not have it any more."),
    "Review": Class(
        ("schema:Event",),
        {
            "title": _text("dcterms:title"),
            "body": _named("schema:organizer"),
            "session": _text("concord:session", "The session's name, as a text."),
            "date": _date("dcterms:date"),
            "document": _named("dcterms:isReferencedBy", "The source that tells of it."),
            "status": _STATUS,
            "summary": _text("dcterms:description"),
            "decision": _text("concord:decision", "What was decided, in prose."),
            "items": _text("concord:item", "What was found of one collaboration: no activity of its own."),
        },
        why="Also prov:Activity once it was held.",
    ),
    "AgendaItem": Class(
        ("concord:AgendaItem",),
        {
            "collaboration": _named("schema:itemReviewed"),
            "finding": _named("concord:finding", "schema:reviewRating grades; this says what shall be done."),
            "note": _text("skos:note"),
        },
    ),
    "Succession": Class(
        ("org:ChangeEvent",),
        {
            "kind": _named("dcterms:type"),
            "date": _date("dcterms:date"),
            "predecessors": _named("org:originalOrganization"),
            "successors": _named("org:resultingOrganization"),
            "note": _text("skos:note"),
        },
    ),
}

LEFT_OUT: Mapping[str, str] = {
    "*.slug": "It is the end of the node's name.",
    "*.evidence.cited_fields": "Computed from citations, which are there themselves.",
    "*.evidence.citable_fields": "What could be cited for, not what is known.",
    "*.evidence.oldest_retrieved": "Computed from sources, which are there themselves.",
    "Collaboration.last_reviewed": "Computed from reviews, which are there themselves.",
    "Collaboration.next_review_due": "Moves with the calendar: a graph that is kept would be wrong.",
    "Collaboration.review_status": "Moves with the calendar: a graph that is kept would be wrong.",
    "OtherName.lang": "It is the language of the value.",
    "CitationTarget.noun": "It is in the record's address.",
    "CitationTarget.record": "It is the target itself.",
}
"""Fields that no property stands for (`*`: of every noun), and why."""


def _context() -> dict[str, Any]:
    scoped = {
        name: {"@id": cls.types[0], "@context": {term: made.definition for term, made in cls.terms.items()}}
        for name, cls in CLASSES.items()
    }
    group = {**scoped["Organization"], "@id": "foaf:Group"}
    record = {"@id": "foaf:isPrimaryTopicOf", "@type": "@id"}
    return {"@version": 1.1, "@vocab": OWN, **PREFIXES, "record": record, **scoped, "Group": group}


CONTEXT: Mapping[str, Any] = _context()
"""The JSON-LD 1.1 context of all nodes. A field that is in none of the classes is a word of our own, so none gets lost."""


# --- a record as a node ---------------------------------------------------------------------------------------------


def document(resource: Resource[Any], record: Mapping[str, Any], base: str) -> Node:
    """The record, as GET answers it, as a node in the words of CONTEXT; what is not stated is left out. `base` is the address
    of the registry, without a slash at its end: the names of records begin with it."""
    name = class_of(resource)
    address = _address(base, resource.plural, record["slug"])
    node = _fields(name, resource.plan, resource.write, record, base)
    if name in _FURTHER:
        node |= _FURTHER[name](record, base)
    stated = {field: value for field, value in node.items() if value not in _NOTHING}
    return {"@id": address, "@type": _types(name, record), **stated, "record": _record(address, record, base)}


def class_of(resource: Resource[Any]) -> str:
    """What the context calls the noun's class."""
    return resource.name.title().replace(" ", "")


def scheme(base: str) -> Node:
    """The concept scheme that the collaboration types are in: the list of them."""
    return {"@id": f"{base}/v1/collaboration-types", "@type": "ConceptScheme", "title": "Collaboration types"}


def graph(context: str | Mapping[str, Any], nodes: Iterable[Node]) -> Iterator[bytes]:
    """A whole document with these nodes, piece by piece. `context` is the address of the context, or the context itself."""
    yield b'{"@context":' + msgspec.json.encode(context) + b',"@graph":['
    for n, node in enumerate(nodes):
        yield (b",\n" if n else b"\n") + msgspec.json.encode(node)
    yield b"\n]}\n"


def _address(base: str, plural: str, slug: str) -> str:
    return f"{base}/v1/{plural}/{slug}"


def _record(address: str, record: Mapping[str, Any], base: str) -> Node:
    sources = [_address(base, "sources", slug) for slug in (record.get("evidence") or {}).get("sources", ())]
    kept = {name: record[name] for name in ("id", "version", "created_at", "updated_at") if name in record}
    return {"@id": f"{address}#record", "@type": "Record", **kept, **({"sources": sources} if sources else {})}


_FORMAL = frozenset((
    OrganizationKind.intergovernmental_organization, OrganizationKind.supranational_union, OrganizationKind.government,
    OrganizationKind.company, OrganizationKind.academic_institution,
))  # fmt: skip
_UNITS = frozenset((OrganizationKind.organ, OrganizationKind.working_group))


def _organization(record: Mapping[str, Any]) -> list[str]:
    kind = record.get("kind")
    if kind == OrganizationKind.group:
        return ["Group"]
    formal = ["org:FormalOrganization"] if kind in _FORMAL else []
    return ["Organization", *formal, *(["org:OrganizationalUnit"] if kind in _UNITS and record.get("part_of") else [])]


def _review(record: Mapping[str, Any]) -> list[str]:
    return ["Review", *(["prov:Activity"] if record.get("status") == HeldStatus.held else [])]


_REFINED: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {"Organization": _organization, "Review": _review}


def _types(name: str, record: Mapping[str, Any]) -> str | list[str]:
    """The class, and whatever else a node of it is."""
    refine = _REFINED.get(name)
    found = refine(record) if refine else [name, *(CLASSES[name].types[1:] if name in CLASSES else ())]
    return found if len(found) > 1 else found[0]


def _fields(name: str, plan: Plan, cls: type[BaseModel], values: Mapping[str, Any], base: str) -> Node:
    node: Node = {}
    for planned in plan.fields:
        value = values.get(planned.name)
        if value not in _NOTHING and f"{name}.{planned.name}" not in LEFT_OUT:
            node[planned.name] = _value(name, planned, cls, values, base)
    return node


def _value(name: str, planned: Planned, cls: type[BaseModel], around: Mapping[str, Any], base: str) -> Any:
    value, shape = around[planned.name], shapes_of(cls)[planned.name]
    term = CLASSES[name].terms.get(planned.name) if name in CLASSES else None
    if isinstance(planned, Embedded) and shape.part is not None:
        return _embedded(planned.plan, shape.part, value, base)
    if isinstance(planned, Rows) and planned.plan is not None and shape.part is not None:
        inner = shape.part.__name__
        return [{"@type": _types(inner, item), **_item(inner, planned.plan, shape.part, item, base)} for item in value]
    if shape.edtf and shape.single:
        return _QUARTER.sub(lambda quarter: f"-{int(quarter[1]) + 32}", value)
    named = _namer(planned, shape.vocabulary, term, around, base)
    if named is None:
        return value
    names = [named(item) for item in value] if shape.many else named(value)
    return names if term is not None else _as_ids(names)


def _item(name: str, plan: Plan, cls: type[BaseModel], item: Mapping[str, Any], base: str) -> Node:
    node = _fields(name, plan, cls, item, base)
    return node | ({"value": _tagged(item)} if name == "OtherName" else {})


def _embedded(plan: Plan, cls: type[BaseModel], value: Mapping[str, Any], base: str) -> Any:
    """A node of its own; but one that only chooses the noun of a reference is the reference."""
    links = [planned for planned in plan.fields if isinstance(planned, Linked)]
    if len(links) == 1 and links[0].among is not None:
        return _link(links[0], value, base)(value[links[0].name])
    return {"@type": cls.__name__, **_fields(cls.__name__, plan, cls, value, base)}


def _namer(
    planned: Planned, words: type[Vocabulary] | None, term: Term | None, around: Mapping[str, Any], base: str
) -> Callable[[Any], str] | None:
    """How a value becomes the name of a thing, if it names one."""
    linked = planned.item if isinstance(planned, Rows) else planned
    if isinstance(linked, Linked):
        return _link(linked, around, base)
    before = f"concord:{words.__name__}-" if words is not None else term.before if term is not None else ""
    return (lambda value: f"{before}{value}") if before else None


def _link(linked: Linked, around: Mapping[str, Any], base: str) -> Callable[[str], str]:
    plural = str(around["noun"]) if linked.table is None else linked.table.info["noun"]
    return lambda slug: _address(base, plural, slug)


def _as_ids(names: Any) -> Any:
    return [{"@id": name} for name in names] if isinstance(names, list) else {"@id": names}


# --- what some classes say besides ----------------------------------------------------------------------------------


def _tagged(name: Mapping[str, Any]) -> Any:
    return {"@value": name["value"], "@language": name["lang"]} if name.get("lang") else name["value"]


def _names(record: Mapping[str, Any], base: str) -> Node:  # noqa: ARG001  # as all of them
    names = [_tagged(name) for name in record.get("other_names") or ()]
    return {"alt_labels": names}


def _concept(record: Mapping[str, Any], base: str) -> Node:
    scheme = f"{base}/v1/collaboration-types"
    labels = record.get("labels") or {}
    english = [text for tag, text in labels.items() if tag.lower() == "en" and text != record["label"]]
    others = {tag: text for tag, text in labels.items() if tag.lower() != "en"}
    return {
        "labels": others,
        "scheme": scheme,
        "top_of": None if record.get("broader") else scheme,
        "alt_labels": [{"@value": text, "@language": "en"} for text in english],
    }


_FURTHER: Mapping[str, Callable[[Mapping[str, Any], str], Node]] = {
    "Organization": _names,
    "CollaborationType": _concept,
}


# --- our own words --------------------------------------------------------------------------------------------------


def terms(resources: Iterable[Resource[Any]]) -> Iterator[Node]:
    """Our own words as nodes of CONTEXT: classes, properties with the reason for them, and each vocabulary as a concept scheme
    with its values."""
    own: dict[str, Node] = {}
    for name, cls in CLASSES.items():
        for iri in cls.types:
            own.setdefault(iri, _term(iri, "rdfs:Class", name, cls.why))
        for called, term in cls.terms.items():
            own.setdefault(term.iri, _term(term.iri, "rdf:Property", called, term.why))
    yield from (node for iri, node in own.items() if iri.startswith("concord:"))
    found = {words for resource in resources for words in _words(resource.write)}
    for words in sorted(found, key=lambda words: words.__name__):
        yield from _concepts(words)


def _term(iri: str, kind: str, label: str, why: str) -> Node:
    return {"@id": iri, "@type": kind, "rdfs:label": label.replace("_", " "), **({"rdfs:comment": why} if why else {})}


def _concepts(words: type[Vocabulary]) -> Iterator[Node]:
    within = f"concord:{words.__name__}"
    yield {"@id": within, "@type": "skos:ConceptScheme", "dcterms:description": words.__doc__ or ""}
    for word in words:
        yield {
            "@id": f"{within}-{word.value}",
            "@type": ["skos:Concept", "org:Role"] if words is ParticipantRole else "skos:Concept",
            "skos:prefLabel": word.value.replace("_", " "),
            "skos:definition": word.about,
            "skos:inScheme": {"@id": within},
        }


def _words(cls: type[BaseModel]) -> Iterator[type[Vocabulary]]:
    for name, shape in shapes_of(cls).items():
        if shape.vocabulary is not None and f"{cls.__name__}.{name}" not in LEFT_OUT:
            yield shape.vocabulary
        if shape.part is not None:
            yield from _words(shape.part)
