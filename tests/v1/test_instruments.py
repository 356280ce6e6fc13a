"""Instruments: known by a short title, and referring to each other."""

from __future__ import annotations

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem, slugs
from tests.support.builders import Builder, collaboration, instrument, patch


def test_the_slug_comes_from_the_short_title_where_there_is_one(client: httpx.Client) -> None:
    title = "Tripartite Declaration of Principles concerning Multinational Enterprises and Social Policy"
    assert instrument(client, title=title, short_title="MNE Declaration")["slug"] == "mne-declaration"
    long = instrument(client, title=title)["slug"]
    assert long == "tripartite-declaration-of-principles-concerning-multinational-enterprises-and-social-policy"


def test_references_keep_their_order_and_stand_once(client: httpx.Client) -> None:
    others = [instrument(client)["slug"] for _ in range(3)]
    record = instrument(client, refers_to=others)
    assert record["refers_to"] == others
    assert patch(client, instrument, record, refers_to=others[::-1])["refers_to"] == others[::-1]
    refused = client.patch(instrument.at(record), json={"refers_to": [others[0], others[0]]}, headers={"If-Match": "*"})
    assert pointers(problem(client, refused, 422)) == ["/refers_to"]


@pytest.mark.parametrize(("noun", "field"), [(instrument, "refers_to"), (collaboration, "instruments")])
def test_one_instrument_named_by_slug_and_by_id_still_stands_twice(
    client: httpx.Client, noun: Builder, field: str
) -> None:
    other = instrument(client)
    draft = noun.draft(client, **{field: [other["slug"], other["id"]]})
    with nothing_written(client):
        assert pointers(problem(client, client.post(noun.path, json=draft), 422)) == [f"/{field}/1"]


def test_two_instruments_may_refer_to_each_other(client: httpx.Client) -> None:
    declaration = instrument(client)
    guidelines = instrument(client, refers_to=[declaration["slug"]])
    patch(client, instrument, declaration, refers_to=[guidelines["slug"]])
    asked = (f"{instrument.path}?refers_to={record['slug']}" for record in (declaration, guidelines))
    assert [slugs(client, url) for url in asked] == [[guidelines["slug"]], [declaration["slug"]]]
