"""The seed holds what the page states, and loading it never takes anything from anybody."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.api.v1 import RESOURCES
from app.exchange import documents, passages
from app.exchange.documents import Line, Report
from app.kit import records
from app.kit.db import Author, Database
from app.kit.errors import Invalid
from app.kit.revisions import TABLE
from app.settings import HOME, SEED

PAGE = HOME.parent / "shared" / "source" / "mne-declaration-partnerships.txt"
NOUNS = {resource.plural: resource for resource in RESOURCES}
SLUGS = {
    "organizations": """ilo ilo-governing-body un un-general-assembly human-rights-council ohchr wg-business-human-rights
        oeigwg-tnc unctad un-global-compact un-global-compact-academy global-compact-expert-network oecd
        oecd-national-contact-points eu waipa waipa-consultative-committee tokyo-2020 un-agencies
        international-organizations national-development-agencies subject-matter-experts investment-promotion-agencies
        governments enterprises""",
    "collaboration-types": """joint-initiative project technical-assistance expert-input policy-dialogue training event
        event-participation joint-event agreement memorandum-of-understanding cooperation-agreement partnership-agreement
        governance advisory-membership co-chairing periodic-review programme-partnership principles-promotion""",
    "instruments": """mne-declaration ilo-declaration-fprw oecd-guidelines-mne oecd-dd-general oecd-dd-agriculture
        oecd-dd-garment-footwear oecd-dd-minerals oecd-dd-extractives un-guiding-principles tnc-binding-instrument
        ungc-ten-principles ungc-strategy sdgs ipfsd""",
    "collaborations": """interagency-round-table-csr oecd-guidelines-2011-update oecd-due-diligence-guidance
        oecd-ncp-expertise oecd-events responsible-supply-chains-asia ohchr-wg-meetings wg-inputs annual-forum-bhr
        oeigwg-inputs global-compact decent-work-supply-chains-platform ungc-academy-session
        global-compact-expert-network unctad-mou world-investment-forum investment-policy-reviews waipa-agreement
        waipa-consultative-committee waipa-world-investment-conferences ipa-training tokyo-2020-agreement
        governing-body-review""",
    "milestones": """global-compact-launch oecd-guidelines-update-2011 mne-declaration-revised wg-welcomes-revision
        ungc-strategy-adopted ungc-academy-dg-session unctad-mou-signed wif-2014-session wif-2018-session
        waipa-agreement-signed waipa-committee-membership tokyo-2020-agreement-signed ipfsd-references-mne-declaration
        mne-declaration-references-oecd-2011""",
    "sources": "mne-declaration-page",
}
COUNTS = {
    "organizations": 25,
    "collaboration-types": 19,
    "instruments": 14,
    "collaborations": 23,
    "milestones": 14,
    "sources": 1,
}
PERIODS = {"oecd-guidelines-2011-update": "2011", "global-compact": "1999/..", "world-investment-forum": "2014/.."}


def lines(noun: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (SEED / f"{noun}.jsonl").read_text().splitlines()]


def load(database: Database, what: list[Line]) -> Report:
    return database.write(lambda tx: documents.load(tx, what), documents.SEEDER)


def seed() -> list[Line]:
    return documents.read_folder(SEED, RESOURCES)


def revisions(database: Database) -> int:
    return database.read(lambda tx: int(tx.execute(sa.select(sa.func.count()).select_from(TABLE)).scalar_one()))


# --- what it holds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noun", SLUGS)
def test_it_holds_exactly_the_records_of_the_page(noun: str) -> None:
    assert Counter(line["slug"] for line in lines(noun)) == Counter(SLUGS[noun].split())
    assert len(lines(noun)) == COUNTS[noun]


@pytest.mark.parametrize("noun", [*SLUGS, "citations"])
def test_lines_are_sorted_and_say_nothing_that_is_empty(noun: str) -> None:
    found = lines(noun)
    assert [line["slug"] for line in found] == sorted(line["slug"] for line in found)
    fields = list(NOUNS[noun].write.model_fields)
    for line in found:
        assert list(line) == [field for field in fields if field in line]
        assert not [name for name, value in line.items() if value in (None, "", [], {})]


def test_only_three_periods_are_stated() -> None:
    assert {line["slug"]: line["period"] for line in lines("collaborations") if "period" in line} == PERIODS


def test_every_record_is_cited_and_every_passage_cites() -> None:
    cited = {(line["target"]["noun"], line["target"]["record"]) for line in lines("citations")}
    places = {tuple(place.values()) for line in lines("citations") for place in line["passages"]}
    for noun in COUNTS.keys() - {"sources"}:
        assert {(noun, line["slug"]) for line in lines(noun)} <= cited
    known = {(p["section"], p["paragraph"], p["sentence"]) for p in lines("sources")[0]["passages"]}
    assert places == known


def test_participants_and_their_roles_are_those_of_the_page(registry: httpx.Client) -> None:
    forum = registry.get("/v1/collaborations/world-investment-forum").json()
    assert [(p["organization"], p["role"], p["period"]) for p in forum["participants"]] == [
        ("ilo", "co_organizer", "2014/.."), ("unctad", "co_organizer", "2014/.."), ("waipa", "co_organizer", "2018"),
    ]  # fmt: skip
    annual = registry.get("/v1/collaborations/annual-forum-bhr").json()
    assert [(p["organization"], p["role"]) for p in annual["participants"]] == [
        ("ilo", "participant"),
        ("ilo", "speaker"),
    ]


def test_the_questions_of_the_page_have_their_answers(registry: httpx.Client) -> None:
    def slugs(path: str) -> list[str]:
        return [item["slug"] for item in registry.get(path).json()["items"]]

    assert registry.get("/v1/organizations/oecd").json()["acronym"] == "OECD"
    assert slugs("/v1/collaborations?organization=unctad") == [
        "interagency-round-table-csr", "investment-policy-reviews", "unctad-mou", "world-investment-forum",
    ]  # fmt: skip
    assert slugs("/v1/milestones?from=2011&to=2014") == ["oecd-guidelines-update-2011", "wif-2014-session"]
    assert slugs("/v1/collaboration-types?broader=agreement") == [
        "cooperation-agreement", "memorandum-of-understanding", "partnership-agreement",
    ]  # fmt: skip


# --- loading it -----------------------------------------------------------------------------------------------------


def test_loading_it_again_writes_nothing(seeded: Database) -> None:
    before = revisions(seeded)
    report = load(seeded, seed())
    assert (report.created, report.changed, report.kept) == (0, 0, [])
    assert report.unchanged == len(seed())
    assert revisions(seeded) == before == seeded.read(lambda tx: tx.sequence())


def test_an_edit_and_a_withdrawal_are_kept_and_reported(seeded: Database) -> None:
    people, officer = NOUNS["organizations"], Author("officer")
    seeded.write(lambda tx: records.change(tx, people, "oecd", lambda old: old | {"acronym": "OCDE"}, "*"), officer)
    seeded.write(lambda tx: records.withdraw(tx, NOUNS["milestones"], "wif-2018-session", "*"), officer)
    report = load(seeded, seed())
    assert sorted(report.kept) == [
        "milestones/wif-2018-session: withdrawn",
        "organizations/oecd: edited by officer in version 2",
    ]
    assert b'"OCDE"' in seeded.read(lambda tx: records.fetch(tx, people, "oecd")).body


def test_a_line_that_has_changed_updates_what_nobody_has_touched(seeded: Database) -> None:
    changed = [Line(li.resource, li.number, li.values | {"acronym": "X"}) if li.slug == "oecd" else li for li in seed()]
    report = load(seeded, changed)
    assert (report.changed, report.kept) == (1, [])
    assert b'"acronym":"X"' in seeded.read(lambda tx: records.fetch(tx, NOUNS["organizations"], "oecd")).body


def test_one_bad_line_and_nothing_is_loaded(database: Database) -> None:
    bad = [
        Line(li.resource, li.number, li.values | {"part_of": "nobody"}) if li.slug == "oecd" else li for li in seed()
    ]
    with pytest.raises(Invalid) as caught:
        load(database, bad)
    number = next(line.number for line in bad if line.slug == "oecd")
    assert [fault.pointer for fault in caught.value.faults] == [f"/organizations/{number}/part_of"]
    assert revisions(database) == 0


def test_records_that_wait_for_each_other_are_named(database: Database) -> None:
    circle = [
        Line(NOUNS["organizations"], n, {"slug": a, "name": a, "kind": "organ", "part_of": b})
        for n, (a, b) in enumerate((("one", "two"), ("two", "one")), 1)
    ]
    with pytest.raises(Invalid, match="circle"):
        load(database, circle)


@pytest.mark.parametrize("text", ["[]", '{"name": "x"}', "{", "null"])
def test_a_line_that_is_no_record_is_refused_with_its_number(tmp_path: Path, text: str) -> None:
    (tmp_path / "organizations.jsonl").write_text('{"slug": "a", "name": "A", "kind": "organ"}\n' + text + "\n")
    with pytest.raises(Invalid, match=r"organizations\.jsonl, line 2"):
        documents.read_folder(tmp_path, RESOURCES)


# --- with a document ------------------------------------------------------------------------------------------------

DOCUMENT = b"The harbour office keeps a list. It is read aloud twice a year.\n\nBoats\n\nEvery boat has a keeper.\n"


def from_document(data: bytes) -> list[Line]:
    read = passages.read(data)
    places = [
        {"section": p.section, "paragraph": p.paragraph, "sentence": p.sentence, "fingerprint": p.fingerprint}
        for p in read.passages
    ]
    source = {"slug": "list", "title": "List", "kind": "web_page", "sha256": read.sha256, "passages": places}
    return [Line(NOUNS["sources"], 1, source)]


def texts(database: Database) -> list[str | None]:
    body = database.read(lambda tx: records.fetch(tx, NOUNS["sources"], "list")).body
    return [passage["text"] for passage in json.loads(body)["passages"]]


def test_the_document_brings_the_text_of_its_passages_and_a_later_run_keeps_it(database: Database) -> None:
    plain = from_document(DOCUMENT)
    load(database, plain)
    assert texts(database) == [None, None, None]
    assert load(database, documents.with_text(plain, passages.read(DOCUMENT))).changed == 1
    assert texts(database)[2] == "Every boat has a keeper."
    again = load(database, plain)
    assert (again.changed, again.unchanged) == (0, 1)
    assert texts(database)[0] == "The harbour office keeps a list."


def test_another_document_is_refused() -> None:
    with pytest.raises(Invalid, match="SHA-256"):
        documents.with_text(from_document(DOCUMENT), passages.read(DOCUMENT + b"More."))


def test_a_fingerprint_that_is_not_the_passages_is_named() -> None:
    [line] = from_document(DOCUMENT)
    line.values["passages"][1]["fingerprint"] = hashlib.sha256(b"").hexdigest()
    with pytest.raises(Invalid) as caught:
        documents.with_text([line], passages.read(DOCUMENT))
    assert [fault.pointer for fault in caught.value.faults] == ["/passages/1"]


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not part of the project")
def test_the_page_itself_fits_the_seed_and_none_of_its_sentences_is_in_the_project(database: Database) -> None:
    report = load(database, documents.with_text(seed(), passages.read(PAGE.read_bytes())))
    assert report.created == len(seed())
    # Proper names are facts, and one of them has eighteen words.
    known = [
        name
        for line in lines("organizations")
        for name in (line["name"], *(o["value"] for o in line.get("other_names", ())))
    ]
    names = {tuple(words(name)) for name in known}
    runs = {run for run in nines(words(PAGE.read_text())) if not any(run_in(run, name) for name in names)}
    committed = subprocess.run(["git", "ls-files", "-z"], cwd=HOME, capture_output=True, text=True, check=True).stdout
    for name in filter(None, committed.split("\0")):
        path = HOME / name
        if path.is_file():
            assert not runs & set(nines(words(path.read_text(errors="replace")))), name


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def nines(found: list[str]) -> list[tuple[str, ...]]:
    return [tuple(found[n : n + 9]) for n in range(len(found) - 8)]


def run_in(run: tuple[str, ...], name: tuple[str, ...]) -> bool:
    return any(name[n : n + 9] == run for n in range(len(name) - 8))
