"""OpenAPI 3.1 as a product: every operation has an id, a summary, every answer including its problems, and an example."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema
from pydantic_core import to_jsonable_python

from app.api import components, conditional, deps, idempotency, links, sequences
from app.api.exports import MEDIA_TYPES
from app.api.problems import MEDIA_TYPE, TYPES, Problem, ProblemType
from app.api.strict import JSON
from app.auth.policy import OPEN, Permission, least_role
from app.kit import views
from app.kit.diff import Change
from app.kit.filters import Format, ListQuery
from app.kit.history import DiffQuery, HistoryQuery
from app.kit.resource import COMMON, Resource
from app.kit.revisions import Action
from app.kit.text import slugify
from app.kit.views import RecordQuery
from app.settings import Settings

_REF = "#/components/schemas/{model}"
EXAMPLE_META = {
    "id": "01935f7e-8c00-7000-8000-000000000001",
    "version": 1,
    "created_at": "2026-11-25T09:00:00Z",
    "updated_at": "2026-11-25T09:00:00Z",
}
EVERYWHERE = ("too-many-requests", "overloaded", "timed-out")
"""What the edge may answer to anything. (What else it refuses, 408, 414, 421 and 431, no client meets that reads this.)"""
READ = ("malformed-request", "unauthenticated", "invalid", "internal-error", "unavailable", *EVERYWHERE)
WRITE = (*READ, "forbidden", "read-only", "insufficient-storage")
CONDITIONAL_WRITE = (*WRITE, "conflict", "gone", "precondition-failed", "precondition-required")
BODY = ("body-too-large", "unsupported-media-type")

ETAG = {"ETag": {"description": "The entity-tag of this answer (RFC 9110).", "schema": {"type": "string"}}}
LOCATION = {
    "Location": {"description": "Address of the new record.", "schema": {"type": "string", "format": "uri-reference"}}
}
MOVED = {
    "description": "It was merged into another record.",
    "headers": {"Location": {"description": "The same of that one.", "schema": {"type": "string", "format": "uri-reference"}}},
}  # fmt: skip
RETRY_AFTER = {"Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}}
RATE_LIMIT = {
    "RateLimit": {
        "description": 'What is left: `"default";r=0;t=3`; `t`: seconds until there is more.', "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": 'What is allowed: `"default";q=1200;w=60`.', "schema": {"type": "string"}},
}  # fmt: skip
HEADERS: Mapping[int, Mapping[str, Any]] = {429: RETRY_AFTER | RATE_LIMIT, 503: RETRY_AFTER, 507: RETRY_AFTER}
LINK = {"Link": {"description": 'The next page, `rel="next"` (RFC 8288).', "schema": {"type": "string"}}}

IF_MATCH = {
    "name": "If-Match", "in": "header", "required": True, "schema": {"type": "string", "pattern": conditional.PATTERN},
    "example": "*",
    "description": 'The ETag that you last saw, e.g. `"v7"`; `*`: whatever is there. Without it 428, with an old one 412.',
}  # fmt: skip
ANYTHING = {"type": "string", "title": "IfNoneMatchAnything", "enum": ["*"], "x-enum-varnames": ["ANYTHING"]}
IF_MATCH_OPTIONAL = {**IF_MATCH, "required": False}
IF_NONE_MATCH_CREATE = {
    "name": "If-None-Match", "in": "header", "required": False, "schema": ANYTHING,
    "description": "`*`: create the record; 412 when one is there. Then without If-Match.",
}  # fmt: skip
IF_NONE_MATCH = {
    "name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "An ETag that you have: 304 while it still holds.",
}  # fmt: skip
SEQUENCE = {
    "Registry-Sequence": {
        "description": "The number of the registry's sequence whose state this answer shows or made. Send it back with your "
        "next request, and you never see an older state.",
        "schema": {"type": "integer", "minimum": 0},
    }
}
SEEN = {
    "name": "Registry-Sequence", "in": "header", "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": sequences.HIGHEST},
    "description": "The highest `Registry-Sequence` that you were told: the answer shows no older state.",
}  # fmt: skip
CHANGE_REASON = {
    "name": "Change-Reason", "in": "header", "required": False, "schema": {"type": "string", "pattern": deps.REASON_PATTERN},
    "description": f"Why; kept in the history. ASCII, or UTF-8 percent-encoded: at most {deps.REASON_LENGTH} characters.",
}  # fmt: skip


Repeats = Literal["answered", "refused"]
IDEMPOTENCY_KEY = {
    "name": idempotency.HEADER, "in": "header", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.LONGEST, "pattern": idempotency.PATTERN},
    "description": "A name for this request and no other, such as a UUID, bare or in quotes. Sent again with it within 24 "
    "hours, the request is answered as it was the first time, and writes nothing. 409 `request-outstanding`: the first is "
    "still at work. 422 `idempotency-key-reused`: the first was another request.",
}  # fmt: skip
REPLAYED = {
    idempotency.REPLAYED: {
        "description": "`true`: nothing was written, this is what was answered the first time.",
        "schema": {"type": "string", "const": "true"},
    }
}


def problems(slugs: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """The responses for these problem types, one a status: several that share one are its examples."""
    kinds: dict[int, list[ProblemType]] = {}
    for slug in dict.fromkeys(slugs):
        kinds.setdefault(TYPES[slug].status, []).append(TYPES[slug])
    return {status: _problems(kinds[status]) for status in sorted(kinds)}


def _problems(kinds: Sequence[ProblemType]) -> dict[str, Any]:
    examples = {
        kind.slug: {
            "type": f"/problems/{kind.slug}", "title": kind.title, "status": kind.status, "detail": kind.about, "errors": [],
        }
        for kind in kinds
    }  # fmt: skip
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model="Problem")}}
    if len(kinds) == 1:
        content["example"] = examples[kinds[0].slug]
    else:
        content["examples"] = {slug: {"value": example} for slug, example in examples.items()}
    found = {"description": f"{', or: '.join(kind.title for kind in kinds)}.", "content": {MEDIA_TYPE: content}}
    return {**found, "headers": dict(HEADERS[kinds[0].status])} if kinds[0].status in HEADERS else found


def text_body(examples: Mapping[str, str]) -> dict[str, Any]:
    """A required request body that is a text of one of several types, each with an example."""
    content = {kind: {"schema": {"type": "string"}, "example": example} for kind, example in examples.items()}
    return {"required": True, "content": content}


def json_body(schema: Mapping[str, Any], types: Sequence[str], *, example: Any = None) -> dict[str, Any]:
    """A required request body."""
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"required": True, "content": dict.fromkeys(types, content)}


def ok(
    description: str, schema: Mapping[str, Any], *, headers: Mapping[str, Any] = ETAG, example: Any = None
) -> dict[str, Any]:
    """A response with a JSON document."""
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": description, "headers": dict(headers), "content": {"application/json": content}}


def in_every_form(page: Mapping[str, Any]) -> dict[str, Any]:
    """The response of a list that `format` or Accept gives another form: a page of JSON, or all of it as a file."""
    found = ok("A page; in a form other than JSON the whole list.", page, headers=ETAG | LINK)
    found["content"] |= {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values() if kind != JSON}
    found["content"][MEDIA_TYPES[Format.jsonld]] = {"schema": {"type": "object"}}
    return found


def ref(model: type[BaseModel] | str) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model if isinstance(model, str) else model.__name__)}


def object_of(title: str, description: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object that always holds all of these. `title` names it among the components."""
    return {
        "type": "object", "title": title, "description": description, "properties": dict(properties),
        "required": list(properties),
    }  # fmt: skip


def operation(
    name: str, summary: str, description: str, responses: Mapping[int | str, Any], *, status: int = 200,
    parameters: Sequence[Any] = (), query: type[BaseModel] | None = None, without: Sequence[str] = (), body: Any = None,
    may: tuple[str, str] | None = ("read", "registry"), limit: str = "max_body_bytes", repeats: Repeats | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The arguments of a route's decorator. `query` is the class that the route reads its parameters with, `without` those of
    them that it does not take, `may` the permission that its caller must have (None: none at all), `limit` the setting that
    bounds its body, `repeats` what becomes of an Idempotency-Key (None: it means nothing there)."""
    extra: dict[str, Any] = {"parameters": list(parameters), "x-body": limit, "x-repeats": repeats}
    if repeats == "answered":
        extra["parameters"].append(IDEMPOTENCY_KEY)
        responses = _repeatable(responses)
    if may is not None:
        extra["x-permission"] = Permission(*may)
    if query is not None:
        extra["x-query"] = query.__name__
        extra["x-without"] = list(without)
    if body is not None:
        extra["requestBody"] = body
    return {
        "operation_id": name, "summary": summary, "description": description,
        "responses": {**responses, **{code: found for code, found in problems(EVERYWHERE).items() if code not in responses}},
        "status_code": status, "response_model": None, "openapi_extra": extra,
    }  # fmt: skip


def _repeatable(responses: Mapping[int | str, Any]) -> dict[int | str, Any]:
    """The same responses, where the request takes an Idempotency-Key."""
    more = problems(("request-outstanding", "idempotency-key-reused"))
    return {
        status: {**answer, "headers": answer.get("headers", {}) | REPLAYED}
        if int(status) < 300
        else {**answer, "description": f"{answer['description']} {more[status]['description']}"}
        if status in more
        else answer
        for status, answer in responses.items()
    }


class Operations:
    """What OpenAPI says of a noun's ordinary routes."""

    def __init__(self, resource: Resource[Any]) -> None:
        self.noun = resource
        self.a = ("an " if resource.name[0] in "aeiou" else "a ") + resource.name
        self.one = resource.name.title().replace(" ", "")
        self.many = resource.plural.replace("-", " ").title().replace(" ", "")
        self.out, self.into = ref(resource.read), ref(resource.write)
        self.example = _example(resource)

    @property
    def browse(self) -> dict[str, Any]:
        text = f"A page of {self.noun.plural}, by any of the filters. Follow `next` for the rest; it is null on the last page."
        responses = {200: in_every_form(ref(f"{self.one}Page")), 304: NOT_MODIFIED, **problems(READ)}
        return operation(
            f"list{self.many}",
            f"List {self.noun.plural}",
            text,
            responses,
            parameters=[IF_NONE_MATCH],
            query=self.noun.query,
            may=("read", self.noun.plural),
        )

    @property
    def create(self) -> dict[str, Any]:
        text = f"Create {self.a}. The slug is derived from its name when none is given."
        responses = {201: ok("Created.", self.out, headers=ETAG | LOCATION), **problems((*WRITE, *BODY, "conflict"))}
        body = json_body(self.into, ["application/json"], example=self.example)
        return operation(
            f"create{self.one}",
            f"Create {self.a}",
            text,
            responses,
            status=201,
            parameters=[CHANGE_REASON],
            body=body,
            may=("create", self.noun.plural),
            repeats="answered",
        )

    @property
    def fetch(self) -> dict[str, Any]:
        text = f"The {self.noun.name} with this slug or id. What is answered can be edited and sent back with PUT."
        shown = ok("The record, or the fields that were asked for.", _shown(self.noun, self.one))
        responses = {200: shown, 304: NOT_MODIFIED, **problems((*READ, "not-found", "gone"))}
        return operation(
            f"get{self.one}",
            f"Get {self.a}",
            text,
            responses,
            parameters=[IF_NONE_MATCH],
            query=RecordQuery,
            may=("read", self.noun.plural),
        )

    @property
    def replace(self) -> dict[str, Any]:
        text = (
            "With If-Match: replace the record as a whole. With `If-None-Match: *`: create it under this slug. "
            "Read-only fields may be sent back as they were read."
        )
        responses = {
            200: ok("Replaced, or unchanged.", self.out),
            201: ok("Created.", self.out, headers=ETAG | LOCATION),
            **problems((*CONDITIONAL_WRITE, *BODY, "not-found")),
        }
        parameters = [IF_MATCH_OPTIONAL, IF_NONE_MATCH_CREATE, CHANGE_REASON]
        body = json_body(ref(f"{self.one}Replacement"), ["application/json"], example=self.example)
        return operation(
            f"replace{self.one}",
            f"Replace {self.a}, or create it",
            text,
            responses,
            parameters=parameters,
            body=body,
            may=("change", self.noun.plural),
        )

    @property
    def patch(self) -> dict[str, Any]:
        text = (
            "Change some fields by a JSON merge patch (RFC 7396): null clears a field, a list is replaced whole. The result "
            "is validated as a whole. A patch that changes nothing writes nothing."
        )
        responses = {
            200: ok("Changed, or unchanged.", self.out),
            **problems(
                (*WRITE, *BODY, "not-found", "conflict", "gone", "precondition-failed", "precondition-required")
            ),
        }
        types = ["application/merge-patch+json", "application/json"]
        body = json_body(ref(f"{self.one}Patch"), types, example={})
        return operation(
            f"patch{self.one}",
            f"Change {self.a}",
            text,
            responses,
            parameters=[IF_MATCH, CHANGE_REASON],
            body=body,
            may=("change", self.noun.plural),
        )

    @property
    def withdraw(self) -> dict[str, Any]:
        text = (
            "Take the record out. It keeps its id, slug and history; reading it answers 410 with a tombstone, and `restore` "
            "brings it back. While others refer to it: 409, naming them."
        )
        responses = {
            204: {"description": "Withdrawn.", "headers": ETAG},
            **problems((*CONDITIONAL_WRITE, "not-found")),
        }
        return operation(
            f"withdraw{self.one}",
            f"Withdraw {self.a}",
            text,
            responses,
            status=204,
            parameters=[IF_MATCH, CHANGE_REASON],
            may=("withdraw", self.noun.plural),
        )

    @property
    def restore(self) -> dict[str, Any]:
        text = "Bring a withdrawn record back, through the same rules as any write. One that is there stays as it is."
        responses = {
            200: ok("The record.", self.out),
            **problems((*WRITE, "not-found", "conflict", "precondition-failed")),
        }
        return operation(
            f"restore{self.one}",
            f"Restore {self.a}",
            text,
            responses,
            parameters=[IF_MATCH_OPTIONAL, CHANGE_REASON],
            may=("restore", self.noun.plural),
            repeats="answered",
        )

    @property
    def revisions(self) -> dict[str, Any]:
        text = "Every write of the record, newest first: who, when, why, and which fields. Also of a withdrawn record."
        page = ok("A page.", ref("RevisionPage"), headers=ETAG | LINK)
        responses = {200: page, 304: NOT_MODIFIED, **problems((*READ, "not-found"))}
        return operation(
            f"list{self.one}Revisions",
            f"List the revisions of {self.a}",
            text,
            responses,
            parameters=[IF_NONE_MATCH],
            query=HistoryQuery,
            may=("read", self.noun.plural),
        )

    @property
    def revision(self) -> dict[str, Any]:
        text = "One revision, with the record as it was then."
        shown = ok("The revision.", ref(f"{self.one}Revision"))
        responses = {200: shown, 304: NOT_MODIFIED, **problems((*READ, "not-found"))}
        return operation(
            f"get{self.one}Revision",
            f"Get a revision of {self.a}",
            text,
            responses,
            parameters=[IF_NONE_MATCH],
            may=("read", self.noun.plural),
        )

    @property
    def diff(self) -> dict[str, Any]:
        text = "In what a revision differs from the one before it, or from another: place by place, the items of lists aligned."
        responses = {200: ok("The differences.", ref("Diff")), 304: NOT_MODIFIED, **problems((*READ, "not-found"))}
        return operation(
            f"diff{self.one}Revisions", f"Compare two revisions of {self.a}", text, responses,
            parameters=[IF_NONE_MATCH], query=DiffQuery,
            may=("read", self.noun.plural),
        )  # fmt: skip

    @property
    def bring_back(self) -> dict[str, Any]:
        text = "Make the record again what it was in this revision: a new revision, under the same rules as any write."
        responses = {200: ok("The record.", self.out), **problems((*CONDITIONAL_WRITE, "not-found"))}
        return operation(
            f"restore{self.one}Revision", f"Restore a revision of {self.a}", text, responses,
            parameters=[IF_MATCH, CHANGE_REASON],
            may=("change", self.noun.plural), repeats="answered",
        )  # fmt: skip


def _example(noun: Resource[Any]) -> dict[str, Any] | None:
    """The record that POST shows, with the slug that it would get: what follows in the document can name it."""
    body = noun.write.model_json_schema().get("examples", [None])[0]
    return body and {"slug": slugify(noun.titled(noun.write.model_validate(body))), **body}


NOT_MODIFIED = {"description": "Not modified: your copy still holds.", "headers": ETAG}

REVISION = object_of("Revision", "One write of one record.", {
    "sequence": {
        "type": "integer", "description": "Number of the write in the registry, in commit order, without gaps.",
    },
    "noun": {"type": "string"}, "id": {"type": "string", "format": "uuid"}, "slug": {"type": "string"},
    "version": {"type": "integer"}, "action": TypeAdapter(Action).json_schema(),
    "at": {"type": "string", "format": "date-time"}, "author": {"type": "string"},
    "proposed_by": {"type": ["string", "null"], "description": "Who had proposed it, where `author` accepted a proposal."},
    "reason": {"type": ["string", "null"]},
    "changed": {"type": "array", "items": {"type": "string"}, "description": "Fields that this write changed."},
})  # fmt: skip
DIFFERENCE = object_of("Difference", "A place in which two revisions differ.", {
    "pointer": {
        "type": "string", "format": "json-pointer",
        "description": "RFC 6901, into the newer record; of what was removed into the older one.",
    },
    "change": TypeAdapter(Change).json_schema(), "was": {}, "now": {},
})  # fmt: skip
DIFF = object_of("Diff", "In what one revision of a record differs from another.", {
    "noun": {"type": "string"}, "id": {"type": "string", "format": "uuid"}, "slug": {"type": "string"},
    "from": {"type": "integer", "description": "The older version; 0: nothing."}, "to": {"type": "integer"},
    "changes": {"type": "array", "items": DIFFERENCE},
})  # fmt: skip
LINEAGE = object_of("Descent", "One step by which an organization came from another.", {
    "organization": {"type": "string", "description": "A predecessor, near or far."},
    "became": {"type": "string", "description": "What it became, or a part of what."},
    "succession": {"type": "string", "description": "The event."}, "kind": {"type": "string"},
    "date": {"type": ["string", "null"], "format": "edtf"},
})  # fmt: skip


def page_of(items: Mapping[str, Any], description: str, *, title: str | None = None) -> dict[str, Any]:
    """A page of a list. `title` names it among the components."""
    named = {} if title is None else {"title": title}
    return {
        "type": "object",
        **named,
        "description": description,
        "properties": {
            "items": {"type": "array", "items": dict(items)},
            "next": {
                "type": ["string", "null"],
                "format": "uri-reference",
                "description": "Address of the next page; null on the last.",
            },
        },
        "required": ["items", "next"],
    }


BESIDE_ITEMS: dict[str, Any] = {
    "total": {"type": "integer", "description": "Size of the whole list, with `count=true`."},
    "included": {
        "type": "object",
        "description": "With `include`: noun → slug → record.",
        "additionalProperties": True,
    },
}
OF_LINEAGE: dict[str, Any] = {
    "lineage": {
        "type": "array",
        "description": "With `lineage=true`: the events by which the organization came from others.",
        "items": LINEAGE,
    },
}


def _page_of_records(noun: Resource[Any], one: str) -> dict[str, Any]:
    page = page_of(_shown(noun, one), f"A page of {noun.plural}.", title=f"{one}Page")
    page["properties"] |= BESIDE_ITEMS | (OF_LINEAGE if "lineage" in noun.query.model_fields else {})
    return page


def schemas(resources: Iterable[Resource[Any]], others: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """The components: every class once, and what follows from a noun's classes."""
    nouns = list(resources)
    classes = [cls for noun in nouns for cls in (noun.write, noun.read)]
    _, definitions = models_json_schema([(cls, "validation") for cls in (*classes, *others)], ref_template=_REF)
    found: dict[str, Any] = {name: _without_empty_defaults(schema) for name, schema in definitions["$defs"].items()}
    more = [REVISION, DIFF, WARNING, page_of(ref("Revision"), "A page of revisions.", title="RevisionPage")]
    for noun in nouns:
        found |= _of_noun(found, noun, Operations(noun).one)
        more.append(_page_of_records(noun, Operations(noun).one))
    for schema in more:
        components.named(schema, "", found)
    return found


def _without_empty_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """A field that is left out is empty; said as a default, some generators take it for a field that must be given."""
    for about in schema.get("properties", {}).values():
        if about.get("default", "something") in (None, "", [], {}):
            del about["default"]
    return schema


BESIDE: dict[str, Any] = {
    "withdrawn_at": {
        "type": "string", "format": "date-time", "description": "Only in lists with `withdrawn=`: when it was withdrawn.",
    },
    "included": {"type": "object", "additionalProperties": True, "description": "Only with `include`."},
}  # fmt: skip
"""What an answer may hold beside the record."""
WARNING = object_of("Warning", "Something that the author of a record may want to know; nothing was refused for it.", {
    "code": {"type": "string"}, "message": {"type": "string"}, "candidate": ref("Candidate"),
})  # fmt: skip
WARNINGS: dict[str, Any] = {
    "warnings": {
        "type": "array", "description": "Only where it has just been created: which others it may be.", "items": ref("Warning"),
    },
}  # fmt: skip


def _of_noun(found: Mapping[str, Any], noun: Resource[Any], one: str) -> dict[str, Any]:
    """The schemas that follow from a noun's two classes."""
    into, out = found[noun.write.__name__], copy.deepcopy(found[noun.read.__name__])
    for about in out["properties"].values():
        about.pop("default", None)  # an answer leaves nothing out
    record = {key: value for key, value in out.items() if key != "examples"} | {
        "required": list(out["properties"]),
        "properties": out["properties"] | BESIDE | (WARNINGS if noun.warnings is not None else {}),
    }
    picked = {key: value for key, value in record.items() if key != "required"} | {
        "title": f"{one}Fields",
        "description": f"Of {noun.plural} only the fields that `fields` asks for.",
    }
    written = noun.write.model_fields
    kept = {
        name: about | {"readOnly": True}
        for name, about in record["properties"].items()
        if name not in (*written, "withdrawn_at")
    }
    replacement = {key: value for key, value in into.items() if key != "examples"} | {
        "title": f"{one}Replacement",
        "description": f"A {noun.name} as it shall be. What GET shows beside its own fields may be in it as it was read.",
        "properties": into["properties"] | kept,
    }
    return {
        noun.read.__name__: record,
        f"{one}Fields": picked,
        f"{one}Replacement": replacement,
        f"{one}Patch": _patch(into, noun, kept, f"{one}Patch"),
        f"{one}Revision": {
            "title": f"{one}Revision",
            "description": f"A revision of a {noun.name}, with the record as it was.",
            "allOf": [
                ref("Revision"),
                {"type": "object", "properties": {"record": {"type": "object"}}, "required": ["record"]},
            ],
        },
    }


def _shown(noun: Resource[Any], one: str) -> dict[str, Any]:
    """A record as reading answers it: whole, or the fields that were asked for."""
    return {"anyOf": [ref(noun.read), ref(f"{one}Fields")]}


def _patch(schema: Mapping[str, Any], noun: Resource[Any], kept: Mapping[str, Any], title: str) -> dict[str, Any]:
    """A merge patch of a class: every field may be missing, and null clears those that can be empty."""
    patch = copy.deepcopy({key: value for key, value in schema.items() if key not in ("examples", "title", "required")})
    for name, field in patch["properties"].items():
        field.pop("default", None)
        if "anyOf" not in field and name not in schema.get("required", ()):
            kind = {key: field.pop(key) for key in list(field) if key not in ("title", "description")}
            field["anyOf"] = [kind, {"type": "null"}]
    common = {name: about for name, about in kept.items() if name in COMMON}
    return patch | {
        "title": title,
        "description": f"A JSON merge patch of a {noun.name}: only the fields to change; null clears one.",
        "properties": patch["properties"] | common,
    }


def build(
    app: FastAPI, resources: Sequence[Resource[Any]], examples: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The document. `examples`: a record of each noun, as the seed has it; where it has none, the one that POST shows."""
    document = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", summary=app.summary,
        description=app.description, routes=app.routes, tags=app.openapi_tags,
    )  # fmt: skip
    paths = document["paths"]
    records = {noun.plural: found for noun in resources if (found := examples.get(noun.plural) or _example(noun))}
    readers = [RecordQuery, HistoryQuery, DiffQuery, *(noun.query for noun in resources), *app.state.schemas]
    found = schemas(resources, [Problem, *readers])
    for reader in readers:
        _show_references(reader, found[reader.__name__], records)
    _list_parameters(paths, resources, found)
    for noun in (noun for noun in resources if noun.plural in records):
        _show_example(paths, noun, records[noun.plural])
    for parameter in _path_parameters(paths):
        _describe_key(parameter, resources, records)
    for noun in resources:
        if noun.moved is not None:
            _tell_moves(paths, f"/v1/{noun.plural}/{{{noun.key_name}}}")
    _tell_sequences(paths)
    _forget_json(paths)
    components.name_schemas(paths, found)
    document.setdefault("components", {})["schemas"] = found
    document["components"]["links"] = links.link(paths, resources)
    document["components"]["securitySchemes"] = _schemes(app.state.settings)
    _secure(paths, app.state.settings)
    for verb, path in app.state.deprecations:
        paths[path][verb.lower()]["deprecated"] = True
    return document


KEY = "key"
SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key. `concord key create` or POST to `/v1/keys` makes one and shows it once.",
}


OIDC = "oidc"
"""As `securitySchemes` call single sign-on."""


def _schemes(settings: Settings) -> dict[str, Any]:
    if not settings.oidc_issuer:
        return {KEY: SCHEME}
    return {
        KEY: SCHEME,
        OIDC: {
            "type": "openIdConnect",
            "openIdConnectUrl": settings.oidc_issuer.removesuffix("/") + "/.well-known/openid-configuration",
            "description": f"A token of this issuer as a bearer, with `{settings.oidc_audience}` in `aud`.",
        },
    }


def _secure(paths: Mapping[str, Any], settings: Settings) -> None:
    """Say of every operation whether it asks for a key, and from which role on; forget how it is said to the route."""
    schemes = _schemes(settings)
    for item in (operation for items in paths.values() for operation in items.values()):
        needed, _, _ = item.pop("x-permission", None), item.pop("x-body"), item.pop("x-repeats", None)
        if needed is None:
            item["security"] = []
        else:
            permission = Permission(*needed)
            public = settings.public_read and permission in OPEN
            item["security"] = [*([{}] if public else []), *({name: []} for name in schemes)]
            if OIDC in schemes and not public:  # whoever has a token, but no role, may not even read
                item["responses"].setdefault("403", problems(["forbidden"])[403])
            item["x-least-role"] = least_role(permission).value


def _forget_json(paths: Mapping[str, Any]) -> None:
    """FastAPI says of every answer that it is JSON as well; of what is described as something else that is not so."""
    for items in paths.values():
        for operation in items.values():
            for answer in operation["responses"].values():
                content = answer.get("content", {})
                if len(content) > 1 and content.get("application/json") == {"schema": {}}:
                    del content["application/json"]


def _tell_moves(paths: Mapping[str, Any], record: str) -> None:
    """What is read of a withdrawn record is read of the one that took its place, where there is one."""
    for path, items in paths.items():
        if path.startswith(record) and "410" in items.get("get", {}).get("responses", ()):
            items["get"]["responses"]["308"] = MOVED


def _tell_sequences(paths: Mapping[str, Any]) -> None:
    """What asks the registry says which state it shows, and a reading takes what the client has seen."""
    for path, items in paths.items():
        for verb, operation in items.items():
            if not path.startswith("/v1") or "x-permission" not in operation:
                continue
            if verb == "get":
                operation["parameters"] = [*operation["parameters"], SEEN]
            for status, answer in operation["responses"].items():
                if status.startswith("2") or status == "304":
                    answer["headers"] = {**answer.get("headers", {}), **SEQUENCE}


# --- parameters -----------------------------------------------------------------------------------------------------


def _list_parameters(paths: Mapping[str, Any], resources: Sequence[Resource[Any]], found: dict[str, Any]) -> None:
    """Give every operation the parameters of the class that it reads them with, and drop these classes from `found`."""
    allowed = [(noun, _allowed(noun, found)) for noun in resources]
    operations = [(path, item) for path, items in paths.items() for item in items.values() if "x-query" in item]
    readers = {name: found.pop(name) for name in {item["x-query"] for _, item in operations}}
    for path, item in operations:
        left_out, reader = item.pop("x-without"), item.pop("x-query")
        choices = next((choices for noun, choices in allowed if _shows(noun, path, reader)), {})
        read = _query_parameters(readers[reader], choices)
        item["parameters"] = [*item["parameters"], *(each for each in read if each["name"] not in left_out)]


def _shows(noun: Resource[Any], path: str, reader: str) -> bool:
    """Whether an operation shows records of this noun: as a list, by the class that reads its parameters, or one of them."""
    if reader == RecordQuery.__name__:
        return path == f"/v1/{noun.plural}/{{{noun.key_name}}}"
    return reader in [cls.__name__ for cls in noun.query.__mro__ if issubclass(cls, ListQuery) and cls is not ListQuery]


def _allowed(noun: Resource[Any], found: dict[str, Any]) -> dict[str, Any]:
    """What only the description of a noun knows: its sorts, fields and includes."""
    one = Operations(noun).one
    sorts = [sign + name for name in noun.sorts for sign in ("", "-")]
    fields = components.enumeration(f"{one}FieldName", [*noun.read.model_fields, "withdrawn_at"], found)
    include = components.enumeration(f"{one}Include", views.includable(noun), found)
    return {
        "sort": components.enumeration(f"{one}Sort", sorts, found),
        "fields": {"type": "array", "items": fields},
        "include": {"type": "array", "items": include},
    }


def _query_parameters(schema: Mapping[str, Any], choices: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A class that reads parameters, as OpenAPI lists them: lists with commas; one that is needed with its example."""
    for name, about in schema["properties"].items():
        described = {key: value for key, value in about.items() if key != "title"}
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        parameter["description"] = described.pop("description", f"Only records whose `{name}` is this.")
        parameter["schema"] = choices.get(name) or _without_null(described)
        if parameter["schema"].get("type") == "array":
            parameter |= {"style": "form", "explode": False}
            parameter["schema"] = {**parameter["schema"], "minItems": 1}  # nothing between commas is no value
        if parameter["required"]:
            parameter["example"] = parameter["schema"]["examples"][0]
        yield parameter


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or it is not; it is never null."""
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind.get("type") != "null"]
    if schema.get("default", 0) is None:
        del schema["default"]
    return {**schema, **kinds[0]} if kinds else schema


# --- examples -------------------------------------------------------------------------------------------------------


def _show_references(reader: type[BaseModel], schema: dict[str, Any], records: Mapping[str, Mapping[str, Any]]) -> None:
    """A parameter that names a record shows the one that its noun has as its example."""
    for name, info in reader.model_fields.items():
        tables = [mark.target for mark in info.metadata if getattr(mark, "target", None) is not None]
        for noun in (table.info["noun"] for table in tables if table.info["noun"] in records):
            schema["properties"][info.alias or name].setdefault("examples", [records[noun]["slug"]])


def _describe_key(
    parameter: dict[str, Any], resources: Sequence[Resource[Any]], records: Mapping[str, Mapping[str, Any]]
) -> None:
    """A parameter of a path says what it is and shows a value that works."""
    for noun in resources:
        if parameter["name"] == noun.key_name:
            parameter.setdefault("description", f"Id or slug of the {noun.name}.")
            if noun.plural in records:
                parameter.setdefault("example", records[noun.plural]["slug"])
    for value in parameter["schema"].pop("examples", ()):
        parameter.setdefault("example", value)


def _show_example(paths: dict[str, Any], noun: Resource[Any], example: Mapping[str, Any]) -> None:
    """The record as the example of the answers, and of the bodies that are whole records. What POST creates is what DELETE
    withdraws and `restore` brings back: nothing refers to it."""
    collection, record = f"/v1/{noun.plural}", f"/v1/{noun.plural}/{{{noun.key_name}}}"
    shown = EXAMPLE_META | _defaults(noun.read) | noun.write.model_validate(example).model_dump(mode="json")
    for verb in ("get", "put", "patch"):
        paths[record][verb]["responses"]["200"]["content"]["application/json"]["example"] = shown
    paths[record]["put"]["requestBody"]["content"]["application/json"]["example"] = dict(example)
    page = paths[collection]["get"]["responses"]["200"]["content"]["application/json"]
    page["example"] = {"items": [shown], "next": None}
    for item in (paths[record]["delete"], paths[f"{record}/restore"]["post"]):
        for parameter in _path_parameters({record: {"": item}}):
            parameter["example"] = (_example(noun) or example)["slug"]


def _defaults(cls: type[BaseModel]) -> dict[str, Any]:
    optional = {name: info for name, info in cls.model_fields.items() if not info.is_required()}
    defaults = {name: info.get_default(call_default_factory=True, validated_data={}) for name, info in optional.items()}
    return cast("dict[str, Any]", to_jsonable_python(defaults))


def _path_parameters(paths: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for items in paths.values():
        for item in items.values():
            yield from (parameter for parameter in item["parameters"] if parameter["in"] == "path")
