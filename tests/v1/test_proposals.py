"""Proposals: whoever has a key proposes, the checks of a write are made at once, a reviewer decides, nobody on their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as Xml

import httpx
import pytest
import sqlalchemy as sa

from app.api.v1.proposals import NOUNS
from app.auth import keys
from app.auth.policy import Role
from app.exchange.feeds import ATOM
from app.kit.db import Author, Database, Transaction
from app.kit.errors import Forbidden
from app.registry import proposals
from tests.conftest import TESTER, Ticking
from tests.support.answers import Json, nothing_written, parameters, pointers, problem, sequence, walk
from tests.support.builders import citation, collaboration_type, organization, passage, patch, source, withdraw
from tests.support.wire import UNTRUSTING

HOME = "/v1/proposals"


@dataclass
class People:
    """Who may do what: each with a key of their own."""

    reader: httpx.Client
    other: httpx.Client
    reviewer: httpx.Client
    colleague: httpx.Client
    admin: httpx.Client
    database: Database


NAMES = {"reader": Role.reader, "other": Role.reader, "reviewer": Role.reviewer, "colleague": Role.reviewer}


@pytest.fixture
def people(client: httpx.Client, database: Database) -> Iterator[People]:
    made = {name: database.write(_maker(name, role), TESTER).secret for name, role in NAMES.items()}
    headers = {name: {"Authorization": f"Bearer {secret}"} for name, secret in made.items()}
    clients = {
        name: httpx.Client(base_url=client.base_url, timeout=30, headers=each, verify=UNTRUSTING)
        for name, each in headers.items()
    }
    yield People(**clients, admin=client, database=database)
    for each in clients.values():
        each.close()
    with database.engine.begin() as connection:
        connection.execute(keys.TABLE.delete().where(keys.TABLE.c.name != TESTER.name))


def _maker(name: str, role: Role) -> Callable[[Transaction], keys.Made]:
    return lambda tx: keys.make(tx, name, role)


def evidence(client: httpx.Client, **more: Any) -> Json:
    """A citation of a source that has one passage."""
    page = source(client, passages=[passage(1, 1, 1, "The office has a page.")])
    return {"source": page["slug"], "passages": [{"section": 1, "paragraph": 1, "sentence": 1}], **more}


def change(people: People, record: Json, **fields: Any) -> Json:
    """A proposal to change some fields of an organization, as it is sent."""
    return {
        "noun": "organizations", "record": record["slug"], "patch": fields, "citation": evidence(people.admin),
        "reason": "The page says so.",
    }  # fmt: skip


def addition(people: People, **fields: Any) -> Json:
    """A proposal of a new organization, as it is sent."""
    body = {"name": "Harbour office", "kind": "other", **fields}
    return {"noun": "organizations", "body": body, "citation": evidence(people.admin), "reason": "It is missing."}


def proposed(by: httpx.Client, wanted: Json) -> Json:
    answer = by.post(HOME, json=wanted)
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    assert answer.headers["location"] == f"{HOME}/{body['id']}"
    return body


def decide(by: httpx.Client, proposal: Json, verb: str, **said: str) -> httpx.Response:
    return by.post(f"{HOME}/{proposal['id']}/{verb}", json=said)


def accepted(by: httpx.Client, proposal: Json) -> Json:
    answer = decide(by, proposal, "accept")
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def again(by: httpx.Client, proposal: Json) -> Json:
    body: Json = by.get(f"{HOME}/{proposal['id']}").json()
    return body


# --- making one -----------------------------------------------------------------------------------------------------


def test_a_reader_proposes_a_change_and_nothing_is_written(people: People) -> None:
    record = organization(people.admin, country="CH")
    wanted = change(people, record, url="https://office.example/", country="CH")
    with nothing_written(people.admin):
        proposal = proposed(people.reader, wanted)
    assert proposal == again(people.other, proposal)
    shown = {name: proposal[name] for name in ("noun", "record", "version", "patch", "body", "proposer", "status")}
    assert shown == {
        "noun": "organizations", "record": record["slug"], "version": 1, "patch": {"url": "https://office.example/"},
        "body": None, "proposer": "reader", "status": "open",
    }  # fmt: skip
    assert (proposal["applies"], proposal["problems"], proposal["written"]) == (True, [], None)
    difference = {"pointer": "/url", "change": "added", "was": None, "now": "https://office.example/"}
    assert proposal["diff"] == proposal["diff_now"] == [difference]
    assert people.admin.get(organization.at(record)).json()["url"] is None
    assert people.admin.get("/v1/citations").json()["items"] == []


def test_a_reader_proposes_a_new_record(people: People) -> None:
    wanted = addition(people, part_of=organization(people.admin, slug="port")["id"])
    with nothing_written(people.admin):
        proposal = proposed(people.reader, wanted)
    assert (proposal["record"], proposal["version"], proposal["patch"]) == (None, None, None)
    assert proposal["body"] == {"name": "Harbour office", "kind": "other", "part_of": "port"}
    assert [each["pointer"] for each in proposal["diff"]] == ["/name", "/kind", "/part_of"]
    assert proposal["applies"]
    assert people.admin.get("/v1/organizations/harbour-office").status_code == 404


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"patch": {"url": "no address"}}, "/patch/url"),
        ({"patch": {"colour": "red"}}, "/patch/colour"),
        ({"patch": {"slug": "another"}}, "/patch/slug"),
        ({"patch": {"name": None}}, "/patch/name"),
        ({"patch": {"part_of": "no-such-body"}}, "/patch/part_of"),
        ({"patch": {"part_of": "{slug}"}}, "/patch/part_of"),
        ({"patch": {}}, "/patch"),
        ({"patch": None}, "/patch"),
        ({"body": {"name": "A", "kind": "other"}}, "/body"),
        ({"record": None}, "/patch"),
        ({"record": "no-such-body"}, "/record"),
        ({"noun": "harbours"}, "/noun"),
        ({"reason": ""}, "/reason"),
        ({"reason": " \n "}, "/reason"),
        ({"reason": None}, "/reason"),
        ({"proposer": "somebody"}, "/proposer"),
        ({"status": "accepted"}, "/status"),
        ({"citation": None}, "/citation"),
        ({"citation": {"source": "no-such-page"}}, "/citation/source"),
        ({"citation": {"source": "{source}", "support": "sings"}}, "/citation/support"),
        ({"citation": {"source": "{source}", "target": {}}}, "/citation/target"),
        ({"citation": {"source": "{source}", "passages": [{"section": 9, "paragraph": 1, "sentence": 1}]}},
         "/citation/passages/0"),
    ],
)  # fmt: skip
def test_what_could_not_be_written_is_refused_at_once(people: People, more: Json, pointer: str) -> None:
    record = organization(people.admin)
    wanted = change(people, record, url="https://office.example/")
    names = {"{slug}": record["slug"], "{source}": wanted["citation"]["source"]}
    with nothing_written(people.admin):
        answer = people.reader.post(HOME, json=_filled({**wanted, **more}, names))
    assert pointers(problem(people.admin, answer, 422)) == [pointer]
    assert people.reader.get(HOME).json()["items"] == []


def _filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, names) for key, inner in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


def test_a_new_record_is_weighed_as_one(people: People) -> None:
    organization(
        people.admin, name="Harbour office", identifiers=[{"scheme": "ror", "value": "https://ror.org/05wx9n238"}]
    )
    for body, pointer in (
        ({}, "/body/name"),
        ({"name": "Another", "slug": "harbour-office"}, "/body/slug"),
        ({"name": "Another", "identifiers": [{"scheme": "ror", "value": "https://ror.org/05wx9n238"}]},
         "/body/identifiers/0"),
    ):  # fmt: skip
        wanted = addition(people, **body)
        refused = problem(people.admin, people.reader.post(HOME, json=wanted), 409)
        assert refused["errors"][0]["pointer"].startswith(pointer)


@pytest.mark.parametrize("seen", ["1", '"v1"', '"v9", "v1"'])
def test_a_patch_that_was_written_for_an_older_version_is_not_taken(people: People, seen: str) -> None:
    record = organization(people.admin)
    wanted = change(people, record, url="https://office.example/") | {"if_match": seen}
    proposed(people.reader, wanted)
    patch(people.admin, organization, record, url="https://elsewhere.example/")
    answer = people.reader.post(HOME, json=wanted)
    body = problem(people.admin, answer, 412)
    assert (body["version"], body["changed"], answer.headers["etag"]) == (2, ["url"], '"v2"')
    for now in ("2", "*"):
        assert proposed(people.reader, wanted | {"if_match": now})["version"] == 2


@pytest.mark.parametrize("seen", ["", "first", '"s7"', '*, "v1"'])
def test_a_version_that_is_none_is_refused(people: People, seen: str) -> None:
    wanted = change(people, organization(people.admin), country="CH") | {"if_match": seen}
    assert pointers(problem(people.admin, people.reader.post(HOME, json=wanted), 422)) == ["/if_match"]
    wanted = addition(people) | {"if_match": "1"}
    assert pointers(problem(people.admin, people.reader.post(HOME, json=wanted), 422)) == ["/if_match"]


def test_what_is_withdrawn_or_merged_is_not_proposed_on(people: People) -> None:
    gone, merged, into = organization(people.admin), organization(people.admin), organization(people.admin)
    withdraw(people.admin, organization, gone)
    people.admin.post(f"{organization.at(merged)}/merge", json={"into": into["slug"]})
    for record in (gone, merged):
        refused = people.reader.post(HOME, json=change(people, record, url="https://office.example/"))
        assert pointers(problem(people.admin, refused, 422)) == ["/record"]


def test_for_what_is_evidence_itself_nothing_is_cited(people: People) -> None:
    record = citation(people.admin)
    wanted = {"noun": "citations", "record": record["slug"], "patch": {"note": "Read twice."}, "reason": "I have."}
    refused = people.reader.post(HOME, json={**wanted, "citation": evidence(people.admin)})
    assert pointers(problem(people.admin, refused, 422)) == ["/citation"]
    done = accepted(people.reviewer, proposed(people.reader, wanted))
    assert (done["written"]["citation"], done["written"]["version"]) == (None, 2)
    assert people.admin.get(citation.at(record)).json()["note"] == "Read twice."


def test_without_a_key_nothing_is_proposed_or_read(people: People) -> None:
    proposal = proposed(people.reader, addition(people))
    with httpx.Client(base_url=people.admin.base_url) as stranger:
        problem(people.admin, stranger.post(HOME, json=addition(people)), 401)
        problem(people.admin, stranger.get(HOME), 401)
        problem(people.admin, stranger.get(f"{HOME}/{proposal['id']}"), 401)


def test_one_has_so_many_open_and_what_was_retracted_counts_for_a_day(
    people: People, clock: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "MOST_OPEN", 2)
    first = proposed(people.reader, addition(people))
    proposed(people.reader, addition(people))
    wanted = addition(people)
    problem(people.admin, people.reader.post(HOME, json=wanted), 409)
    assert decide(people.reader, first, "retract").status_code == 200
    problem(people.admin, people.reader.post(HOME, json=wanted), 409)
    proposed(people.other, wanted)
    clock.now += timedelta(days=1, seconds=1)
    proposed(people.reader, wanted)


def test_a_proposal_has_a_largest_size(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    record = organization(people.admin)
    wanted = change(people, record, description="x" * 900)
    proposed(people.reader, wanted)
    monkeypatch.setattr(proposals, "LARGEST", 900)
    assert pointers(problem(people.admin, people.reader.post(HOME, json=wanted), 422)) == ["/patch"]


# --- accepting ------------------------------------------------------------------------------------------------------


def test_an_accepted_change_is_one_write_with_both_names(people: People) -> None:
    record = organization(people.admin)
    before = int(sequence(people.admin)[2:-1])
    wanted = change(people, record, url="https://office.example/")
    before += 1  # the source of the evidence
    proposal = proposed(people.reader, wanted)
    answer = decide(people.reviewer, proposal, "accept", reason="Seen.")
    done = answer.json()
    assert {name: done[name] for name in ("status", "decided_by", "decision", "applies", "problems", "diff_now")} == {
        "status": "accepted", "decided_by": "reviewer", "decision": "Seen.", "applies": False, "problems": [],
        "diff_now": None,
    }  # fmt: skip
    assert done["diff"] == proposal["diff"]
    written = done["written"]
    assert (written["record"], written["version"], written["sequence"]) == (record["slug"], 2, before + 1)
    assert people.admin.get(organization.at(record)).json()["url"] == "https://office.example/"
    cited = people.admin.get(citation.at(written["citation"])).json()
    assert cited["target"] == {"noun": "organizations", "record": record["slug"]}
    assert cited["support"] == "states"
    latest = walk_changes(people.admin, before)
    assert [(each["noun"], each["author"], each["proposed_by"], each["reason"]) for each in latest] == [
        ("organizations", "reviewer", "reader", "The page says so."),
        ("citations", "reviewer", "reader", "The page says so."),
    ]
    revisions = people.admin.get(f"{organization.at(record)}/revisions").json()["items"]
    assert [(each["author"], each["proposed_by"]) for each in revisions] == [("reviewer", "reader"), ("tester", None)]
    assert people.admin.get(f"{organization.at(record)}/revisions/2").json()["proposed_by"] == "reader"
    assert again(people.other, proposal) == done


def test_what_is_shown_is_written_also_where_a_part_of_an_object_goes(people: People) -> None:
    """A merge patch takes a label out of `labels`; what is kept are the labels that stay."""
    record = collaboration_type(people.admin, labels={"fr": "Pacte", "de": "Pakt"})
    wanted = {
        "noun": "collaboration-types", "record": record["slug"], "patch": {"labels": {"de": None, "es": "Pacto"}},
        "citation": evidence(people.admin), "reason": "It is not called so.",
    }  # fmt: skip
    proposal = proposed(people.reader, wanted)
    assert {each["pointer"]: each["change"] for each in proposal["diff"]} == {
        "/labels/de": "removed",
        "/labels/es": "added",
    }
    done = accepted(people.reviewer, proposal)
    assert done["written"]["version"] == 2
    now = people.admin.get(collaboration_type.at(record)).json()
    assert now["labels"] == proposal["patch"]["labels"] == {"fr": "Pacte", "es": "Pacto"}


def walk_changes(client: httpx.Client, after: int) -> list[Json]:
    items: list[Json] = client.get(f"/v1/changes?after={after}").json()["items"]
    return items


def test_the_feed_names_the_proposer_as_a_contributor(people: People) -> None:
    accepted(people.reviewer, proposed(people.reader, addition(people)))
    feed = Xml.fromstring(people.admin.get("/v1/changes", headers={"Accept": "application/atom+xml"}).content)  # noqa: S314  # our own
    told = {
        str(entry.findtext(f"{{{ATOM}}}title")): entry.findtext(f"{{{ATOM}}}contributor/{{{ATOM}}}name")
        for entry in feed.iter(f"{{{ATOM}}}entry")
    }
    assert told["organizations/harbour-office: created"] == "reader"
    assert [name for title, name in told.items() if title.startswith("sources/")] == [None]


def test_an_accepted_new_record_is_there_with_its_evidence(people: People) -> None:
    done = accepted(people.reviewer, proposed(people.reader, addition(people)))
    assert (done["record"], done["version"], done["written"]["version"]) == ("harbour-office", None, 1)
    listed = people.admin.get("/v1/organizations/harbour-office/citations").json()["items"]
    assert [each["slug"] for each in listed] == [done["written"]["citation"]]
    found = people.other.get(f"{HOME}?noun=organizations&record=harbour-office").json()["items"]
    assert [each["id"] for each in found] == [done["id"]]


def test_what_is_sent_again_with_its_key_is_proposed_and_decided_once(people: People) -> None:
    wanted, twice = (
        change(people, organization(people.admin), url="https://office.example/"),
        {"Idempotency-Key": "once"},
    )
    first, second = (people.reader.post("/v1/proposals", json=wanted, headers=twice) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
    assert len(people.reader.get("/v1/proposals").json()["items"]) == 1
    path = f"/v1/proposals/{first.json()['id']}/accept"
    first, second = (people.reviewer.post(path, json={}, headers=twice) for _ in range(2))
    assert (first.status_code, first.content) == (200, second.content)
    assert second.headers["idempotent-replayed"] == "true"
    assert first.json()["status"] == "accepted"
    assert first.headers["etag"] == people.reader.get(path.removesuffix("/accept")).headers["etag"]


def test_nobody_accepts_or_refuses_their_own(people: People) -> None:
    for proposer in (people.reviewer, people.admin):
        proposal = proposed(proposer, addition(people))
        with nothing_written(people.admin):
            assert "of their own" in problem(people.admin, decide(proposer, proposal, "accept"), 403)["detail"]
            problem(people.admin, decide(proposer, proposal, "refuse", reason="No."), 403)
        assert again(proposer, proposal)["status"] == "open"
        assert decide(proposer, proposal, "retract").json()["status"] == "retracted"


def test_a_reader_does_not_decide_and_only_the_proposer_retracts(people: People) -> None:
    proposal = proposed(people.reader, addition(people))
    problem(people.admin, decide(people.other, proposal, "accept"), 403)
    problem(people.admin, decide(people.other, proposal, "refuse", reason="No."), 403)
    for other in (people.other, people.reviewer, people.admin):
        problem(people.admin, decide(other, proposal, "retract"), 403)
    assert again(people.reader, proposal)["status"] == "open"


def test_a_refusal_needs_a_reason_and_keeps_it(people: People) -> None:
    proposal = proposed(people.reader, addition(people))
    assert pointers(problem(people.admin, decide(people.reviewer, proposal, "refuse"), 422)) == ["/reason"]
    with nothing_written(people.admin):
        done = decide(people.reviewer, proposal, "refuse", reason="Another body.").json()
    assert (done["status"], done["decided_by"], done["decision"]) == ("refused", "reviewer", "Another body.")
    assert (done["applies"], done["written"]) == (False, None)


@pytest.mark.parametrize(("verb", "status"), [("accept", "accepted"), ("refuse", "refused"), ("retract", "retracted")])
def test_what_is_decided_stays_decided(people: People, verb: str, status: str) -> None:
    proposal = proposed(people.reader, addition(people))
    by = people.reader if verb == "retract" else people.reviewer
    assert decide(by, proposal, verb, reason="So be it.").status_code == 200
    for again_by, other in (
        (people.colleague, "accept"),
        (people.reviewer, "accept"),
        (people.colleague, "refuse"),
        (people.reader, "retract"),
    ):
        with nothing_written(people.admin):
            refused = problem(people.admin, decide(again_by, proposal, other, reason="Once more."), 409)
        assert refused["proposal"]["status"] == status
        assert refused["proposal"]["decided_by"] == ("reader" if verb == "retract" else "reviewer")


def test_of_two_who_decide_at_the_same_moment_one_does(people: People) -> None:
    proposal = proposed(people.reader, addition(people))
    deciders = [(people.reviewer, "accept"), (people.colleague, "refuse"), (people.admin, "accept")]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda each: decide(each[0], proposal, each[1], reason="Mine."), deciders))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    losers = [problem(people.admin, answer, 409)["proposal"] for answer in answers if answer.status_code == 409]
    assert [(each["status"], each["decided_by"]) for each in losers] == [(winner["status"], winner["decided_by"])] * 2
    made = people.admin.get("/v1/organizations?q=harbour").json()["items"]
    assert len(made) == (winner["status"] == "accepted")


def test_two_proposals_of_one_record_do_not_both_become_it(people: People) -> None:
    first, second = (proposed(people.reader, addition(people)) for _ in range(2))
    with ThreadPoolExecutor(2) as pool:
        asked = [(people.reviewer, first), (people.colleague, second)]
        answers = list(pool.map(lambda each: decide(each[0], each[1], "accept"), asked))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    left = second if answers[0].status_code == 200 else first
    shown = again(people.reader, left)
    assert (shown["status"], shown["applies"], shown["problems"][0]["code"]) == ("open", False, "taken")


def test_the_reviewers_own_rights_are_asked(people: People) -> None:
    proposal = proposed(people.reader, addition(people))
    asked: list[tuple[str, str]] = []

    def may(verb: str, noun: str) -> bool:
        asked.append((verb, noun))
        return noun != "citations"

    with pytest.raises(Forbidden):
        people.database.write(
            lambda tx: proposals.accept(tx, NOUNS, proposal["id"], None), Author("reviewer", None, may)
        )
    assert asked == [("create", "organizations"), ("create", "citations")]
    assert again(people.reader, proposal)["status"] == "open"
    assert people.admin.get("/v1/organizations/harbour-office").status_code == 404


# --- whether it still applies ---------------------------------------------------------------------------------------


def test_it_applies_when_others_changed_another_field(people: People) -> None:
    record = organization(people.admin)
    proposal = proposed(people.reader, change(people, record, url="https://office.example/"))
    patch(people.admin, organization, record, country="CH")
    shown = again(people.reader, proposal)
    assert (shown["applies"], shown["problems"], shown["version"]) == (True, [], 1)
    done = accepted(people.reviewer, proposal)
    assert done["written"]["version"] == 3
    now = people.admin.get(organization.at(record)).json()
    assert (now["url"], now["country"]) == ("https://office.example/", "CH")


def test_it_does_not_apply_when_others_changed_the_same_field(people: People) -> None:
    record = organization(people.admin)
    proposal = proposed(people.reader, change(people, record, url="https://office.example/", country="CH"))
    patch(people.admin, organization, record, url="https://elsewhere.example/")
    shown = again(people.reader, proposal)
    assert not shown["applies"]
    assert [(each["code"], each["pointer"]) for each in shown["problems"]] == [("changed_since", "/patch/url")]
    now = {
        "pointer": "/url",
        "change": "changed",
        "was": "https://elsewhere.example/",
        "now": "https://office.example/",
    }
    assert [each for each in shown["diff_now"] if each["pointer"] == "/url"] == [now]
    assert shown["diff"] == proposal["diff"]
    with nothing_written(people.admin):
        refused = problem(people.admin, decide(people.reviewer, proposal, "accept"), 409)
    assert pointers(refused) == ["/patch/url"]
    assert again(people.reader, proposal)["status"] == "open"


def test_it_does_not_apply_to_what_was_withdrawn_and_does_again_when_it_is_back(people: People) -> None:
    record = organization(people.admin)
    proposal = proposed(people.reader, change(people, record, url="https://office.example/"))
    withdraw(people.admin, organization, record)
    shown = again(people.reader, proposal)
    assert (shown["applies"], shown["diff_now"], shown["problems"][0]["pointer"]) == (False, None, "/record")
    problem(people.admin, decide(people.reviewer, proposal, "accept"), 409)
    people.admin.post(f"{organization.at(record)}/restore")
    assert again(people.reader, proposal)["applies"]
    accepted(people.reviewer, proposal)


def test_it_is_not_carried_over_to_the_record_that_its_own_was_merged_into(people: People) -> None:
    record, into = organization(people.admin), organization(people.admin)
    proposal = proposed(people.reader, change(people, record, url="https://office.example/"))
    people.admin.post(f"{organization.at(record)}/merge", json={"into": into["slug"]})
    shown = again(people.reader, proposal)
    assert not shown["applies"]
    assert into["slug"] in shown["problems"][0]["message"]
    problem(people.admin, decide(people.reviewer, proposal, "accept"), 409)
    assert people.admin.get(organization.at(into)).json()["url"] is None


def test_it_does_not_apply_when_its_source_is_gone_or_has_other_passages(people: People) -> None:
    record = organization(people.admin)
    withdrawn = proposed(people.reader, change(people, record, url="https://office.example/"))
    withdraw(people.admin, source, {"slug": withdrawn["citation"]["source"]})
    reread = proposed(people.reader, change(people, record, url="https://office.example/"))
    other = {"slug": reread["citation"]["source"]}
    patch(people.admin, source, other, passages=[passage(2, 1, 1, "Something else.")])
    for proposal, pointer in ((withdrawn, "/citation/source"), (reread, "/citation/passages/0")):
        shown = again(people.reader, proposal)
        assert [each["pointer"] for each in shown["problems"]] == [pointer]
        with nothing_written(people.admin):  # neither the change: all or nothing
            assert pointers(problem(people.admin, decide(people.reviewer, proposal, "accept"), 409)) == [pointer]


def test_it_does_not_apply_when_what_it_refers_to_is_gone_or_its_name_is_taken(people: People) -> None:
    port = organization(people.admin)
    below, named = (proposed(people.reader, addition(people, **more)) for more in ({"part_of": port["slug"]}, {}))
    withdraw(people.admin, organization, port)
    organization(people.admin, name="Harbour office")
    assert [each["pointer"] for each in again(people.reader, below)["problems"]] == ["/body/part_of"]
    assert again(people.reader, named)["problems"][0]["pointer"] == "/body/name"


def test_asking_writes_nothing_and_needs_no_writer(people: People) -> None:
    """Also while another process holds SQLite's write lock."""
    record = organization(people.admin, part_of=organization(people.admin)["slug"])
    change_of, new = change(people, record, url="https://office.example/"), addition(people, part_of=record["slug"])
    made = [proposed(people.reader, wanted) for wanted in (change_of, new)]
    with people.database.engine.execution_options(writes=True).begin() as connection:
        connection.execute(sa.update(proposals.TABLE).values(decision=None))
        for proposal in made:
            assert again(people.reader, proposal)["applies"]


# --- reading --------------------------------------------------------------------------------------------------------


def test_the_tag_moves_with_the_registry_the_day_and_the_decision(people: People, clock: Ticking) -> None:
    at = f"{HOME}/{proposed(people.reader, addition(people))['id']}"

    def tag() -> str:
        answer = people.reader.get(at)
        assert answer.headers["cache-control"] == "private, no-cache"
        unchanged = people.reader.get(at, headers={"If-None-Match": answer.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        return answer.headers["etag"]

    seen = [tag()]
    organization(people.admin)
    seen.append(tag())
    clock.now += timedelta(days=1)
    seen.append(tag())
    people.reviewer.post(f"{at}/refuse", json={"reason": "No."})
    seen.append(tag())
    assert len(set(seen)) == 4


def test_the_list_is_paged_filtered_and_sorted(people: People) -> None:
    record = organization(people.admin)
    made = [
        proposed(people.reader, change(people, record, url="https://office.example/")),
        proposed(people.other, addition(people)),
        proposed(people.reader, addition(people, name="Second")),
        proposed(people.reader, {
            "noun": "sources", "body": {"title": "A page", "kind": "web_page"}, "citation": evidence(people.admin),
            "reason": "New.",
        }),
    ]  # fmt: skip
    decide(people.reviewer, made[1], "refuse", reason="No.")
    ids = [each["id"] for each in made]

    def listed(query: str) -> list[int]:
        return [ids.index(item["id"]) for item in walk(people.other, f"{HOME}?{query}")]

    assert listed("limit=1") == [3, 2, 1, 0]
    assert listed("limit=3&sort=created_at") == [0, 1, 2, 3]
    assert listed("status=open&limit=2") == [3, 2, 0]
    assert listed("status=refused,accepted") == [1]
    assert listed("noun=sources") == [3]
    assert listed("proposer=reader&sort=created_at&limit=1") == [0, 2, 3]
    for key in (record["slug"], record["id"]):
        assert listed(f"noun=organizations&record={key}") == [0]
    item = next(item for item in walk(people.other, HOME) if item["id"] == ids[0])
    assert item["fields"] == ["url"]
    assert item == {name: value for name, value in again(people.other, made[0]).items() if name in item}
    assert people.other.get(HOME).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("status=pending", 422, "status"),
        ("noun=harbours", 422, "noun"),
        ("record=ilo", 422, "record"),
        ("noun=organizations,sources&record=ilo", 422, "record"),
        ("noun=organizations&record=no-such-body", 422, "record"),
        ("sort=name", 422, "sort"),
        ("limit=0", 422, "limit"),
        ("nonsense=1", 400, "nonsense"),
    ],
)
def test_a_list_that_means_nothing_is_refused(people: People, query: str, status: int, parameter: str) -> None:
    assert parameters(problem(people.admin, people.reader.get(f"{HOME}?{query}"), status)) == [parameter]


def test_neither_a_list_nor_a_proposal_reads_all_revisions(people: People) -> None:
    """(PostgreSQL scans a table of a few rows, whatever its indexes.)"""
    proposal = accepted(
        people.reviewer, proposed(people.reader, change(people, organization(people.admin), country="CH"))
    )
    record = people.admin.get(f"/v1/organizations/{proposal['record']}").json()
    engine, asked = people.database.engine, set[tuple[str, Any]]()

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        asked.add((statement, tuple(values)))

    for path in (HOME, f"{HOME}/{proposal['id']}", f"{HOME}?noun=organizations&record={record['id']}"):
        assert people.reader.get(path).status_code == 200
    sa.event.remove(engine, "before_cursor_execute", note)
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all() for text, values in asked]
        steps = {step.detail for plan in plans for step in plan}
        assert "SEARCH revision USING INDEX sqlite_autoindex_revision_2 (record_id=? AND version=?)" in str(steps), (
            steps
        )
        assert any("ix_proposal_noun (noun=? AND record=?)" in step for step in steps)
        assert not any(step.startswith("SCAN revision") for step in steps)


def test_a_cursor_belongs_to_its_list(people: People) -> None:
    for _ in range(2):
        proposed(people.reader, addition(people))
    following = people.reader.get(f"{HOME}?limit=1").json()["next"]
    problem(people.admin, people.reader.get(f"{following}&status=open"), 400)
    problem(people.admin, people.reader.get(f"{HOME}?cursor=x"), 400)


@pytest.mark.parametrize("key", ["no-such-proposal", str(UUID(int=7)), "x" * 300])
def test_an_unknown_proposal_is_not_found(people: People, key: str) -> None:
    problem(people.admin, people.reader.get(f"{HOME}/{key}"), 404)
    for verb in ("accept", "refuse", "retract"):
        problem(people.admin, people.reviewer.post(f"{HOME}/{key}/{verb}", json={"reason": "Why not."}), 404)
