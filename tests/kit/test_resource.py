"""What whoever adds a noun may rely on: a description that does not fit its table stops the program where it is made."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, create_model

from app.api.v1 import RESOURCES
from app.kit.db import PAST, Base, Record, table_of
from app.kit.fields import EdtfDate, Key, RecordIn
from app.kit.resource import (
    COMMON,
    Dated,
    Embedded,
    Linked,
    Plain,
    Plan,
    Reference,
    Resource,
    Rows,
    claim_of,
    draw,
)
from app.registry.citations import Citation
from app.registry.organizations import Organization

by_noun = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)


def drawn(model: type[Record] = Organization, **fields: Any) -> Plan:
    write = create_model("Write", __base__=RecordIn, **fields)
    return draw(write, sa.inspect(model), skip=frozenset({"slug"}))


def test_a_field_finds_its_column_by_its_name_and_type() -> None:
    item = create_model("Item", value=(str, ...))
    plan = drawn(
        name=(str, ...),
        founded=(EdtfDate | None, None),
        part_of=(Annotated[Key, Reference()] | None, None),
        other_names=(list[item], []),
    )
    name, founded, part_of, other_names = plan.fields
    assert name == Plain("name", "name", ("name_key",))
    assert founded == Dated("founded", "founded")
    assert part_of == Linked("part_of", "part_of_id", table_of(Organization), None)
    assert isinstance(other_names, Rows)
    assert (other_names.table.name, other_names.parent) == ("organization_name", "organization_id")
    assert other_names.plan == Plan((Plain("value", "value", ("value_key",)),))


@pytest.mark.parametrize(
    "annotation",
    [str, str | None, int, list[str], EdtfDate | None, Annotated[Key, Reference()], dict[str, str]],
    ids=["text", "optional", "number", "list", "date", "reference", "mapping"],
)
def test_a_field_without_a_column_is_refused_by_name(annotation: Any) -> None:
    with pytest.raises(TypeError, match="Organization has no column for the field 'motto'"):
        drawn(name=(str, ...), motto=(annotation, ...))


def test_a_field_of_an_embedded_object_without_a_column_is_refused() -> None:
    target = create_model("Target", noun=(str, ...), colour=(str, ...))
    with pytest.raises(TypeError, match="Citation has no column for the field 'colour'"):
        drawn(Citation, target=(target, ...))


def test_a_field_of_a_lists_items_without_a_column_is_refused() -> None:
    item = create_model("Item", value=(str, ...), colour=(str, ...))
    with pytest.raises(TypeError, match="OrganizationName has no column for the field 'colour'"):
        drawn(other_names=(list[item], ...))


def test_a_noun_with_a_field_too_many_cannot_be_described() -> None:
    old = next(resource for resource in RESOURCES if resource.model is Organization)
    write = create_model("Write", __base__=old.write, motto=(str | None, None))
    with pytest.raises(TypeError, match="motto"):
        Resource[Any](old.name, old.plural, old.model, write, old.read, old.query, old.sorts, old.titled, old.texts)


@by_noun
def test_every_column_of_a_noun_is_filled_by_a_field_or_by_the_registry(resource: Resource[Any]) -> None:
    kept = {*COMMON, "withdrawn_at", "claim", "since", "shape", "document"}
    kept |= {resource.moved.key} if resource.moved is not None else set()
    assert columns(resource.plan) | kept == set(resource.table.c.keys()) | {"claim"}
    for child in resource.plan.children:
        inner = child.plan or (Plan((child.item,)) if child.item else None)
        assert inner is not None
        kept = {child.parent, "position"} | ({"claim"} if child.claims else set())
        assert columns(inner) | kept == set(child.table.c.keys())


def columns(plan: Plan) -> set[str]:
    found: set[str] = set()
    for planned in plan.fields:
        if isinstance(planned, Embedded):
            found |= columns(planned.plan)
        elif isinstance(planned, Dated):
            found |= {f"{planned.column}_{part}" for part in ("edtf", "earliest", "begun", "ended", "latest")}
        elif not isinstance(planned, Rows):
            found |= {planned.column, *(planned.folded if isinstance(planned, Plain) else ())}
    return found


@by_noun
def test_what_a_noun_answers_is_what_it_takes_and_what_the_registry_adds(resource: Resource[Any]) -> None:
    written = [planned.name for planned in resource.plan.fields]
    assert ["slug", *sorted(written)] == ["slug", *sorted(set(resource.write.model_fields) - {"slug"})]
    assert set(resource.read.model_fields) == {*COMMON, *written, *resource.computed_fields}


def test_every_noun_is_known_by_its_own_table_and_name() -> None:
    assert len({resource.plural for resource in RESOURCES}) == len(RESOURCES)
    assert {resource.table.name for resource in RESOURCES} == {
        table.name for table in Base.metadata.sorted_tables if "slug" in table.c and "claim" in table.c
    } - {past.name for past in PAST.values()}
    assert all(resource.table.info["noun"] == resource.plural for resource in RESOURCES)


def test_a_claim_is_one_for_all_spellings_of_a_name_and_tells_its_parts_apart() -> None:
    assert claim_of({"name": "Straße", "country": "DE"}, ("name", "country")) == "strasse|de"
    assert claim_of({"name": "STRASSE", "country": "DE"}, ("name", "country")) == "strasse|de"
    assert claim_of({"name": "Straße", "country": None}, ("name", "country")) == "strasse|"


def test_a_claim_never_takes_two_different_records_for_one() -> None:
    one = claim_of({"scheme": "a|b", "value": "c"}, ("scheme", "value"))
    other = claim_of({"scheme": "a", "value": "b|c"}, ("scheme", "value"))
    assert one != other


def test_the_plan_needs_no_base_class_of_the_kit() -> None:
    assert draw(create_model("Bare", __base__=BaseModel, name=(str, ...)), sa.inspect(Organization)).fields
