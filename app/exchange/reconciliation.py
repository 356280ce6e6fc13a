"""Reconciliation: what OpenRefine and its like ask of a registry to match the cells of a table with its records, and to fetch
more columns (Reconciliation Service API 0.2 of the W3C Entity Reconciliation Community Group).

The score of a candidate, 0 to 100:

- what its name is worth to matching.py: 100 its very name, 98 another one, 95 its acronym, 90 a former one, less for similar
  ones; 100 as well for the record whose id is asked, or that has an identifier which is given as a property;
- a property that agrees adds AGREES, one that the record states otherwise takes off DIFFERS, and an identifier that the record
  has otherwise DIFFERS_IN_IDENTIFIER; what the record does not state changes nothing.

The best one is a match where it has MATCHES and no other one is within MARGIN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.exchange import entities, matching
from app.exchange.entities import DEFAULT, Entity, Key, Nouns
from app.exchange.matching import Guess, Reason
from app.kit import records, search, words
from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.fields import Title, Word
from app.kit.resource import Resource, claim_of
from app.kit.text import clean, fold

MOST_QUERIES = 100
"""Queries in a batch."""
MOST_CANDIDATES = 50
MOST_RECORDS = 500
"""Records that are extended at once."""
CONSIDERED = 20
"""So many candidates are looked at more closely, or as many as are asked for."""
AGREES, DIFFERS, DIFFERS_IN_IDENTIFIER = 5, 15, 30
CERTAIN = 100
MATCHES, MARGIN = 95, 5
NAMELESS = frozenset({"citations", "successions"})
"""Nouns whose records have no name that a cell could hold. They can be extended."""
PAGE = 20
"""Entities that are suggested at once."""
MOST_SKIPPED = 180
"""Search looks at no more than some 200 rows."""

LIMIT = "limit"
SETTINGS = (
    {
        "name": LIMIT, "label": "At most so many values", "type": "number", "default": 0,
        "help_text": "Of a property with several values; 0: all of them.",
    },
)  # fmt: skip


# --- what is asked ----------------------------------------------------------------------------------------------------


def _line(value: Any) -> Any:
    """A cell may hold line breaks; a name has none."""
    return (" ".join(value.split()) or None) if isinstance(value, str) else value


def _several(value: Any) -> Any:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _spelled(value: Any) -> list[str]:
    """A value of a property as the texts that it may be given as."""
    return [text for one in _several(value) for text in _texts(one)]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [clean(value, lines=True)]
    if isinstance(value, Mapping):  # an entity is its id, or its name
        return [clean(text) for name in ("id", "name") if isinstance(text := value.get(name), str)]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, int | float):
        return [str(int(value) if isinstance(value, float) and value.is_integer() else value)]
    raise ValueError("A value is a text, a number, true, false, or an object with an id.")


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is 3. OpenRefine leaves out a limit that it has not, or says 0."""
    return None if value == 0 else int(value) if isinstance(value, float) and value.is_integer() else value


class Given(BaseModel):
    """A property of what is looked for, with the values that it may have."""

    model_config = ConfigDict(extra="ignore")

    pid: Word
    v: Annotated[list[str], BeforeValidator(_spelled)]


class Query(BaseModel):
    """What stands in a row. Fields that are not known are passed by, as later versions of the API have more of them."""

    model_config = ConfigDict(extra="ignore")

    query: Annotated[Title | None, BeforeValidator(_line)] = None
    type: Annotated[list[str], BeforeValidator(_several), Field(max_length=20)] = []
    limit: Annotated[Annotated[int, Field(strict=True, ge=1)] | None, BeforeValidator(_whole)] = None
    properties: Annotated[list[Given], BeforeValidator(_several), Field(max_length=100)] = []
    type_strict: Literal["any", "should", "all"] | None = None


class Extending(BaseModel):
    """A property that is to be fetched."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(min_length=1, max_length=200)]
    settings: dict[str, Any] = {}


class Extension(BaseModel):
    """Of which records which properties are to be fetched."""

    model_config = ConfigDict(extra="ignore")

    ids: Annotated[list[str], Field(max_length=MOST_RECORDS)]
    properties: Annotated[list[Extending], Field(max_length=100)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that has been understood."""

    text: str | None
    nouns: tuple[str, ...]
    limit: int
    given: Mapping[str, frozenset[str]]  # by property, its values, comparable
    pairs: frozenset[tuple[str, str]]  # properties and values as they were given


NAMING = ("name", "title", "label", "acronym")
"""Properties by which records are looked for where no name is given."""


def understood(nouns: Nouns, value: Any) -> Asked:
    """A query as a batch holds it. Raises Invalid."""
    if not isinstance(value, Mapping):
        raise Invalid("A query is an object with a `query`, or with `properties`.")
    query = records.parsed(Query, value)
    if query.query is None and not any(given.v for given in query.properties):
        raise Invalid("A query has a `query`, or `properties` with values.")
    types = tuple(dict.fromkeys(query.type)) or (DEFAULT,)
    if unknown := [name for name in types if name not in nouns]:
        raise Invalid(f"There is no type {unknown[0][:50]!r}. Known: {', '.join(nouns)}.")
    given: dict[str, set[str]] = {}
    for one in query.properties:
        given.setdefault(one.pid, set()).update(entities.comparable(text) for text in one.v)
    named = next((text for name in NAMING for one in query.properties if one.pid == name for text in one.v), None)
    return Asked(
        text=query.query or named,
        # No record is of two nouns.
        nouns=() if query.type_strict == "all" and len(types) > 1 else types,
        limit=min(query.limit or 10, MOST_CANDIDATES),
        given={name: frozenset(values) for name, values in given.items() if values},
        pairs=frozenset((one.pid, text) for one in query.properties for text in one.v),
    )


# --- reconciling ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that may be meant, and what speaks for it and against it."""

    entity: Entity
    score: float
    features: tuple[dict[str, Any], ...]

    @property
    def order(self) -> tuple[float, Key]:
        return -self.score, (self.entity.resource.plural, self.entity.slug)


def reconcile(tx: Transaction, nouns: Nouns, batch: Mapping[str, Any]) -> dict[str, Any]:
    """For each query of a batch its candidates, the best first. A query that cannot be understood has none, and an `error`
    that says why; the others are answered all the same."""
    asked: dict[str, Asked] = {}
    answers: dict[str, Any] = {}
    for name, value in batch.items():
        answers[name] = {"result": []}
        try:
            asked[name] = understood(nouns, value)
        except Invalid as error:
            answers[name]["error"] = " ".join([error.detail, *(f"{f.pointer}: {f.message}." for f in error.faults)])
    found = _candidates(tx, nouns, asked)
    shown = {name: several[: asked[name].limit] for name, several in found.items()}
    lines = _lines(tx, nouns, (one.entity for several in shown.values() for one in several))
    for name, several in shown.items():
        certain = _is_certain(found[name])
        answers[name]["result"] = [
            _shown(one, lines[one.entity.id], certain and not n) for n, one in enumerate(several)
        ]
    return answers


def _candidates(tx: Transaction, nouns: Nouns, asked: Mapping[str, Asked]) -> dict[str, list[Candidate]]:
    """By query all that may be meant, the best first."""
    found: dict[str, list[Candidate]] = {name: [] for name in asked}
    for noun in dict.fromkeys(noun for query in asked.values() for noun in query.nouns):
        of_noun = {name: query for name, query in asked.items() if noun in query.nouns}
        for name, several in _of_noun(tx, nouns, nouns[noun], of_noun):
            found[name] += several
    return {name: sorted(several, key=lambda one: one.order) for name, several in found.items()}


def _is_certain(candidates: Sequence[Candidate]) -> bool:
    scores = [candidate.score for candidate in candidates[:2]]
    return bool(scores) and scores[0] >= MATCHES and (len(scores) < 2 or scores[0] - scores[1] > MARGIN)


def _shown(candidate: Candidate, line: str, match: bool) -> dict[str, Any]:  # noqa: FBT001  # it is told, not chosen
    entity = candidate.entity
    return {
        "id": entities.entity_id(entity.resource.plural, entity.slug), "name": entity.name, "description": line,
        "type": [entities.type_of(entity.resource)], "score": candidate.score, "match": match,
        "features": list(candidate.features),
    }  # fmt: skip


def _lines(tx: Transaction, nouns: Nouns, several: Iterable[Entity]) -> dict[UUID, str]:
    """What tells each of some records from its namesakes."""
    shown = {entity.id: entity for entity in several}
    keys = [key for entity in shown.values() for key in entities.references(entity, entities.LINE)]
    there = entities.referred(tx, nouns, keys)
    return {identifier: entities.line(entity, there) for identifier, entity in shown.items()}


def _of_noun(
    tx: Transaction, nouns: Nouns, resource: Resource[Any], queries: Mapping[str, Asked]
) -> Iterator[tuple[str, list[Candidate]]]:
    """The candidates of each query among the records of a noun: found by name, by id and by identifier, then read together."""
    named = _by_name(tx, resource.plural, queries)
    certain = _by_key(tx, resource, queries)
    for name, owners in _by_identifier(tx, resource, queries):
        certain[name] |= owners
    there = entities.of_ids(tx, resource, {id_ for name in queries for id_ in (*named[name], *certain[name])})
    asked = {name for query in queries.values() for name in query.given}
    keys = [key for entity in there.values() for key in entities.references(entity, asked)]
    judge = Judge(entities.referred(tx, nouns, keys))
    for name, query in queries.items():
        both = [there[id_] for id_ in dict.fromkeys((*named[name], *certain[name])) if id_ in there]
        yield name, [judge.candidate(each, named[name].get(each.id), query, each.id in certain[name]) for each in both]


def _by_name(tx: Transaction, noun: str, queries: Mapping[str, Asked]) -> dict[str, dict[UUID, Guess]]:
    """By query those that are called so, or nearly so. How many does not depend on the other queries."""
    texts = list(dict.fromkeys(query.text for query in queries.values() if query.text))
    guesses = dict(zip(texts, matching.guesses(tx, noun, texts, MOST_CANDIDATES), strict=True)) if texts else {}
    return {
        name: {guess.record: guess for guess in guesses.get(query.text or "", ())[: max(CONSIDERED, query.limit)]}
        for name, query in queries.items()
    }


def _by_key(tx: Transaction, resource: Resource[Any], queries: Mapping[str, Asked]) -> dict[str, set[UUID]]:
    """By query the record whose slug or id it asks."""
    keys = {name: entities.key_in(resource.plural, query.text) for name, query in queries.items() if query.text}
    there = entities.of_keys(tx, resource, filter(None, keys.values()))
    return {name: {there[key].id} if (key := keys.get(name)) in there else set() for name in queries}


def _by_identifier(
    tx: Transaction, resource: Resource[Any], queries: Mapping[str, Asked]
) -> Iterator[tuple[str, set[UUID]]]:
    """By query the records that have an identifier which is given as a property."""
    child = entities.identified_by(resource)
    if child is None:
        return
    pairs = frozenset[tuple[str, str]]().union(*(query.pairs for query in queries.values()))
    claims = {pair: claim_of(dict(zip(child.claims, pair, strict=True)), child.claims) for pair in pairs}
    wanted, c, owners = sorted(set(claims.values())), child.table.c, dict[str, UUID]()
    for start in range(0, len(wanted), records.MOST_KEYS):
        part = wanted[start : start + records.MOST_KEYS]
        statement = sa.select(c.claim, c[child.parent].label("owner")).where(c.claim.in_(part))
        owners |= {row.claim: row.owner for row in tx.execute(statement)}
    for name, query in queries.items():
        yield name, {owners[claims[pair]] for pair in query.pairs if claims[pair] in owners}


@dataclass(frozen=True, slots=True)
class Judge:
    """Weighs records. `there` are those that they refer to."""

    there: Mapping[Key, Entity]

    def candidate(self, entity: Entity, guess: Guess | None, query: Asked, certain: bool) -> Candidate:  # noqa: FBT001
        by_name = 0.0 if guess is None else round(guess.score * 100, 1)
        compared = dict(self._compared(entity, query.given))
        score = CERTAIN if certain else by_name
        score += sum(_weight(entity, name, agrees=agrees) for name, agrees in compared.items())
        features = (
            {"id": "name", "value": by_name},
            {"id": "same_name", "value": guess is not None and guess.reason is Reason.own_name},
            *({"id": f"property:{name}", "value": agrees} for name, agrees in compared.items()),
        )
        return Candidate(entity, round(min(max(score, 0.0), 100.0), 1), features)

    def _compared(self, entity: Entity, given: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, bool]]:
        """Whether the record agrees, for each property that it states."""
        for name, values in given.items():
            if stated := entities.compared(entity, name, self.there):
                yield name, not stated.isdisjoint(values)


def _weight(entity: Entity, name: str, *, agrees: bool) -> int:
    return AGREES if agrees else -(DIFFERS if name in entity.known else DIFFERS_IN_IDENTIFIER)


# --- suggesting -------------------------------------------------------------------------------------------------------


def suggest_entities(
    tx: Transaction, nouns: Nouns, prefix: str, only: Sequence[str], skip: int
) -> tuple[list[dict[str, Any]], bool]:
    """The next PAGE records that are called so or begin so, after the first `skip`; and whether there are more."""
    found = search.search(tx, words.question(prefix), only, skip + PAGE + 1)
    keys = {noun: key for noun in only or nouns if (key := entities.key_in(noun, prefix))}
    by_id = [one for noun, key in keys.items() for one in entities.of_keys(tx, nouns[noun], [key]).values()]
    wanted = {
        noun: [one.record for one in found if one.noun == noun] for noun in dict.fromkeys(one.noun for one in found)
    }
    there = {id_: one for noun, ids in wanted.items() for id_, one in entities.of_ids(tx, nouns[noun], ids).items()}
    several = {one.id: one for one in (*by_id, *(there[each.record] for each in found if each.record in there))}
    shown = list(several.values())[skip : skip + PAGE]
    lines = _lines(tx, nouns, shown)
    return [_suggested(one, lines[one.id]) for one in shown], len(several) > skip + PAGE


def _suggested(entity: Entity, line: str) -> dict[str, Any]:
    return {
        "id": entities.entity_id(entity.resource.plural, entity.slug), "name": entity.name, "description": line,
        "notable": [entities.type_of(entity.resource)],
    }  # fmt: skip


def suggest_types(nouns: Nouns, prefix: str) -> list[dict[str, Any]]:
    """The nouns that are called so or begin so."""
    about = (entities.type_of(resource) | {"description": str(resource.model.__doc__)} for resource in nouns.values())
    return [each for each in about if _begins(prefix, each["id"], each["name"])]


def suggest_properties(tx: Transaction, several: Iterable[Resource[Any]], prefix: str) -> list[dict[str, Any]]:
    """The properties of some nouns that are called so, or have a word that begins so; each id once."""
    found: dict[str, dict[str, Any]] = {}
    for resource in several:
        for each in described(tx, resource):
            found.setdefault(each["id"], each)
    return [each for each in found.values() if _begins(prefix, each["id"], each["name"])]


def described(tx: Transaction, resource: Resource[Any]) -> Iterator[dict[str, Any]]:
    """The properties of a noun: its columns, its references, the registers that its records are in."""
    known = entities.properties(resource)
    for each in known.values():
        yield {"id": each.id, "name": each.name, "description": each.meaning}
    for scheme in entities.registers(tx, resource):
        if scheme not in known:
            yield {"id": scheme, "name": scheme, "description": f"Identifier in the register {scheme}."}


def _begins(prefix: str, *texts: str) -> bool:
    wanted = fold(prefix)
    return any(fold(text).startswith(wanted) or f" {wanted}" in fold(text).replace("-", " ") for text in texts)


# --- extending --------------------------------------------------------------------------------------------------------


def extend(tx: Transaction, nouns: Nouns, asked: Extension) -> dict[str, Any]:
    """The values of properties of some records. A record that is not there, or has nothing to say, has empty lists."""
    found = entities.of_identifiers(tx, nouns, asked.ids)
    wanted = {each.id: _most(each.settings) for each in asked.properties}
    keys = [key for entity in found.values() for key in entities.references(entity, wanted)]
    there = entities.referred(tx, nouns, keys)
    rows = {identifier: {name: list[Any]() for name in wanted} for identifier in asked.ids}
    for identifier, entity in found.items():
        for name, most in wanted.items():
            rows[identifier][name] = entities.extended(entity, name, there)[:most]
    return {"meta": [_meta(nouns, found.values(), name) for name in wanted], "rows": rows}


def _meta(nouns: Nouns, found: Iterable[Entity], name: str) -> dict[str, Any]:
    """What is said of a property that was fetched; with the type of its values where they are records of one noun."""
    asked = next((entity.known[name] for entity in found if name in entity.known), None)
    if asked is None:
        return {"id": name, "name": name}
    table = None if asked.link is None else asked.link.table
    return {"id": name, "name": asked.name} | (
        {} if table is None else {"type": entities.type_of(nouns[table.info["noun"]])}
    )


def _most(settings: Mapping[str, Any]) -> int | None:
    """How many values are wanted at most; None for all. Clients send what stands in a form: a number in a text."""
    text = str(settings.get(LIMIT) or 0)
    if not text.isascii() or not text.isdigit():
        raise Invalid.at("/properties", "setting", f"The setting `{LIMIT}` is a whole number; 0 for all values.")
    return int(text[:18]) or None
