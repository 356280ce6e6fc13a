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

from app import cli
from app.api.v1 import RESOURCES
from app.exchange import documents, passages
from app.exchange.documents import Line, Report
from app.kit import records
from app.kit.db import Author, Database
from app.kit.errors import Invalid
from app.kit.revisions import TABLE
from app.settings import HOME, SEED
from tests.conftest import Server
from tests.support.proofs import Proof

PAGE = HOME.parent / "shared" / "source" / "mne-declaration-partnerships.txt"
NOUNS: dict[str, Any] = {resource.plural: resource for resource in RESOURCES}
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
# collaboration: its type: who takes part, as what: the instruments it rests on
COLLABORATIONS = """
annual-forum-bhr: event-participation: ilo=participant ilo=speaker: un-guiding-principles
decent-work-supply-chains-platform: programme-partnership: un-global-compact=host ilo=partner: sdgs
global-compact: principles-promotion: ilo=partner un-global-compact=partner enterprises=beneficiary:
  ungc-ten-principles ilo-declaration-fprw
global-compact-expert-network: co-chairing: ilo=co_chair global-compact-expert-network=host:
governing-body-review: periodic-review: ilo-governing-body=reviewer: mne-declaration
interagency-round-table-csr: joint-initiative: ilo=co_organizer unctad=co_organizer ohchr=co_organizer
  un-agencies=participant international-organizations=participant national-development-agencies=participant
  subject-matter-experts=invited_participant: mne-declaration
investment-policy-reviews: expert-input: ilo=provider unctad=recipient: ipfsd mne-declaration
ipa-training: training: ilo=provider waipa=partner investment-promotion-agencies=recipient: mne-declaration
oecd-due-diligence-guidance: technical-assistance: ilo=provider oecd=recipient: oecd-dd-general oecd-dd-agriculture
  oecd-dd-garment-footwear oecd-dd-minerals oecd-dd-extractives
oecd-events: event-participation: ilo=participant oecd=host:
oecd-guidelines-2011-update: technical-assistance: ilo=provider oecd=recipient: oecd-guidelines-mne
oecd-ncp-expertise: expert-input: ilo=provider oecd-national-contact-points=recipient: oecd-guidelines-mne
oeigwg-inputs: expert-input: ilo=provider oeigwg-tnc=recipient: tnc-binding-instrument
ohchr-wg-meetings: policy-dialogue: ilo=participant ohchr=participant wg-business-human-rights=participant:
  un-guiding-principles
responsible-supply-chains-asia: project: eu=partner ilo=partner oecd=partner:
tokyo-2020-agreement: partnership-agreement: ilo=signatory tokyo-2020=signatory: mne-declaration
unctad-mou: memorandum-of-understanding: ilo=signatory unctad=signatory:
ungc-academy-session: event-participation: un-global-compact-academy=host ilo=speaker:
waipa-agreement: cooperation-agreement: ilo=signatory waipa=signatory investment-promotion-agencies=beneficiary
  governments=beneficiary:
waipa-consultative-committee: advisory-membership: ilo=member waipa-consultative-committee=host:
waipa-world-investment-conferences: event-participation: ilo=participant waipa=host:
wg-inputs: expert-input: ilo=provider wg-business-human-rights=recipient un-general-assembly=beneficiary
  human-rights-council=beneficiary: un-guiding-principles
world-investment-forum: joint-event: ilo=co_organizer unctad=co_organizer waipa=co_organizer:
"""
PART_OF = {
    "ilo": "ilo-governing-body",
    "un": "un-general-assembly human-rights-council ohchr unctad un-global-compact un-agencies",
    "un-global-compact": "un-global-compact-academy global-compact-expert-network",
    "oecd": "oecd-national-contact-points",
    "waipa": "waipa-consultative-committee",
}
NARROWER = {
    "event": "event-participation joint-event",
    "agreement": "memorandum-of-understanding cooperation-agreement partnership-agreement",
    "governance": "advisory-membership co-chairing periodic-review",
}
ISSUED = {
    "ilo": "mne-declaration ilo-declaration-fprw",
    "oecd": """oecd-guidelines-mne oecd-dd-general oecd-dd-agriculture oecd-dd-garment-footwear oecd-dd-minerals
        oecd-dd-extractives""",
    "un": "un-guiding-principles sdgs",
    "oeigwg-tnc": "tnc-binding-instrument",
    "un-global-compact": "ungc-ten-principles ungc-strategy",
    "unctad": "ipfsd",
}
REFERS_TO = {
    "mne-declaration": ["oecd-guidelines-mne"],
    "ungc-ten-principles": ["ilo-declaration-fprw"],
    "ungc-strategy": ["ungc-ten-principles", "sdgs"],
    "ipfsd": ["mne-declaration"],
}
# milestone: what it belongs to, its kind, its date
MILESTONES = """
global-compact-launch: global-compact: launch: 1999
ipfsd-references-mne-declaration: ipfsd: reference:
mne-declaration-references-oecd-2011: mne-declaration: reference:
mne-declaration-revised: mne-declaration: revision:
oecd-guidelines-update-2011: oecd-guidelines-2011-update oecd-guidelines-mne: revision: 2011
tokyo-2020-agreement-signed: tokyo-2020-agreement: signature:
unctad-mou-signed: unctad-mou: signature:
ungc-academy-dg-session: ungc-academy-session: session:
ungc-strategy-adopted: ungc-strategy un-global-compact: adoption:
waipa-agreement-signed: waipa-agreement: signature:
waipa-committee-membership: waipa-consultative-committee: membership:
wg-welcomes-revision: mne-declaration wg-business-human-rights: statement:
wif-2014-session: world-investment-forum: session: 2014
wif-2018-session: world-investment-forum: session: 2018
"""
LONG_NAMES = {"oeigwg-tnc", "ohchr", "tokyo-2020"}
"""Proper names of nine words and more. A name is a fact."""
PERIODS = {"oecd-guidelines-2011-update": "2011", "global-compact": "1999/..", "world-investment-forum": "2014/.."}


def lines(noun: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (SEED / f"{noun}.jsonl").read_text().splitlines()]


def table(text: str) -> dict[str, list[list[str]]]:
    """The rows of a table above, each a name and the words of its columns."""
    rows = (row.split(":") for row in re.sub(r"\n\s+", " ", text).strip().splitlines())
    return {name: [column.split() for column in columns] for name, *columns in rows}


def inverted(groups: dict[str, str]) -> dict[str, str]:
    return {member: group for group, members in groups.items() for member in members.split()}


def replaced(slug: str, /, **values: Any) -> list[Line]:
    """The seed with other values in one line."""
    return [Line(li.resource, li.number, li.values | values) if li.slug == slug else li for li in seed()]


def body(database: Database, noun: str, slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(database.read(lambda tx: records.fetch(tx, NOUNS[noun], slug)).body)
    return found


def edit(database: Database, noun: str, slug: str, **values: Any) -> None:
    """What a person does."""
    database.write(lambda tx: records.change(tx, NOUNS[noun], slug, lambda old: old | values, "*"), Author("officer"))


def take_out(database: Database, noun: str, slug: str) -> None:
    database.write(lambda tx: records.withdraw(tx, NOUNS[noun], slug, "*"), Author("officer"))


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


def test_collaborations_are_those_of_the_page_with_their_participants_and_instruments() -> None:
    assert table(COLLABORATIONS) == {
        line["slug"]: [
            [line["type"]],
            [f"{p['organization']}={p['role']}" for p in line["participants"]],
            line.get("instruments", []),
        ]
        for line in lines("collaborations")
    }
    assert {line["slug"]: line["sdgs"] for line in lines("collaborations") if "sdgs" in line} == {
        "waipa-agreement": [8]
    }


def test_organizations_instruments_and_types_hang_together_as_the_page_says() -> None:
    def told(noun: str, field: str) -> dict[str, Any]:
        return {line["slug"]: line[field] for line in lines(noun) if field in line}

    assert told("organizations", "part_of") == inverted(PART_OF)
    assert told("collaboration-types", "broader") == inverted(NARROWER)
    assert told("instruments", "issuer") == inverted(ISSUED)
    assert told("instruments", "refers_to") == REFERS_TO
    assert told("instruments", "revised") == {"oecd-guidelines-mne": "2011"}
    assert all(line["label"] and line["definition"].endswith(".") for line in lines("collaboration-types"))


def test_milestones_are_those_of_the_page_and_only_four_have_a_date() -> None:
    subjects = ("collaboration", "instrument", "organization")
    assert table(MILESTONES) == {
        line["slug"]: [
            [line[subject] for subject in subjects if subject in line],
            [line["kind"]],
            [line["date"]] if "date" in line else [],
        ]
        for line in lines("milestones")
    }
    assert [line["slug"] for line in lines("milestones") if line["status"] != "met"] == ["wif-2018-session"]


def test_no_date_place_or_address_is_invented() -> None:
    for noun in COUNTS.keys() - {"sources"}:
        for line in lines(noun):
            assert not line.keys() & {
                "founded",
                "dissolved",
                "adopted",
                "place",
                "url",
                "country",
                "review_every_months",
            }


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


@pytest.mark.proves("R16")
def test_loading_it_again_writes_nothing(seeded: Database, proof: Proof) -> None:
    before = revisions(seeded)
    report = load(seeded, seed())
    proof.count("writes of a second seeding", revisions(seeded) - before, at_most=0)
    assert (report.created, report.changed, report.kept) == (0, 0, [])
    assert report.unchanged == len(seed())
    assert revisions(seeded) == before == seeded.read(lambda tx: tx.sequence())


def test_an_edit_and_a_withdrawal_are_kept_and_reported(seeded: Database) -> None:
    edit(seeded, "organizations", "oecd", acronym="OCDE")
    take_out(seeded, "milestones", "wif-2018-session")
    report = load(seeded, seed())
    assert sorted(report.kept) == [
        "milestones/wif-2018-session: withdrawn",
        "organizations/oecd: edited by officer in version 2",
    ]
    assert body(seeded, "organizations", "oecd")["acronym"] == "OCDE"


@pytest.mark.proves("R16")
def test_what_was_kept_stays_kept_at_the_next_start(seeded: Database, proof: Proof) -> None:
    edit(seeded, "organizations", "oecd", acronym="OCDE")
    edited = revisions(seeded)
    first, before = load(seeded, seed()), revisions(seeded)
    second = load(seeded, seed())
    proof.count("writes of two seedings after an edit", revisions(seeded) - edited, at_most=0)
    assert first.kept == second.kept == ["organizations/oecd: edited by officer in version 2"]
    assert revisions(seeded) == before


def test_a_line_that_has_changed_does_not_overwrite_an_edit_of_another_field(seeded: Database) -> None:
    edit(seeded, "organizations", "oecd", description="Edited by hand.")
    report = load(seeded, replaced("oecd", acronym="X"))
    assert (report.changed, report.kept) == (0, ["organizations/oecd: edited by officer in version 2"])
    assert body(seeded, "organizations", "oecd")["description"] == "Edited by hand."


def test_an_edit_that_was_taken_back_is_no_edit(seeded: Database) -> None:
    edit(seeded, "organizations", "oecd", acronym="OCDE")
    edit(seeded, "organizations", "oecd", acronym="OECD")
    report = load(seeded, seed())
    assert (report.changed, report.kept) == (0, [])


def test_a_record_that_a_person_took_out_of_the_whole_net_does_not_come_back(seeded: Database) -> None:
    edit(seeded, "milestones", "wif-2018-session", collaboration="unctad-mou")
    gone = [("citations", slug) for slug in cited_for("wif-2018-session")] + [("milestones", "wif-2018-session")]
    for noun, slug in gone:
        take_out(seeded, noun, slug)
    report = load(seeded, seed())
    assert sorted(report.kept) == sorted(f"{noun}/{slug}: withdrawn" for noun, slug in gone)
    assert (report.created, report.changed) == (0, 0)


def cited_for(record: str) -> list[str]:
    return [line["slug"] for line in lines("citations") if line["target"]["record"] == record]


def test_the_seed_signs_what_it_writes(seeded: Database) -> None:
    load(seeded, replaced("oecd", acronym="X"))
    authors = seeded.read(lambda tx: set(tx.execute(sa.select(TABLE.c.author, TABLE.c.reason))))
    assert {tuple(row) for row in authors} == {("seed", "loaded from the seed")}


def test_a_new_line_is_created_next_to_what_is_there(seeded: Database) -> None:
    harbour = {"slug": "harbour-office", "name": "Harbour office", "kind": "organ", "part_of": "un"}
    report = load(seeded, [*seed(), Line(NOUNS["organizations"], 26, harbour)])
    assert (report.created, report.changed, report.unchanged) == (1, 0, len(seed()))
    assert body(seeded, "organizations", "harbour-office")["version"] == 1


def test_a_line_that_was_taken_out_takes_nothing_out_of_the_registry(seeded: Database) -> None:
    before = revisions(seeded)
    load(seeded, [line for line in seed() if line.slug != "wif-2018-session"])
    assert body(seeded, "milestones", "wif-2018-session")["status"] == "planned"
    assert revisions(seeded) == before


def test_lines_may_stand_in_any_order(database: Database) -> None:
    assert load(database, seed()[::-1]).created == len(seed())


def test_a_line_that_has_changed_updates_what_nobody_has_touched(seeded: Database) -> None:
    changed = replaced("oecd", acronym="X")
    report = load(seeded, changed)
    assert (report.changed, report.kept) == (1, [])
    assert load(seeded, changed).unchanged == len(changed)
    assert body(seeded, "organizations", "oecd")["acronym"] == "X"


def test_one_bad_line_and_nothing_is_loaded(database: Database) -> None:
    bad = replaced("oecd", part_of="nobody")
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


def test_a_record_that_waits_for_itself_is_refused(database: Database) -> None:
    with pytest.raises(Invalid):
        load(database, [Line(NOUNS["organizations"], 1, {"slug": "a", "name": "A", "kind": "organ", "part_of": "a"})])
    assert revisions(database) == 0


def test_two_lines_of_one_record_are_refused_with_their_numbers(database: Database) -> None:
    double = [
        Line(NOUNS["organizations"], n, {"slug": "harbour", "name": name, "kind": "organ"})
        for n, name in enumerate(("Harbour", "Haven"), 1)
    ]
    with pytest.raises(Invalid, match="organizations: lines 1 and 2 both say 'harbour'"):
        load(database, double)
    assert revisions(database) == 0


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"kind": "castle"}, "/kind"),
        ({"founded": "around 1950"}, "/founded"),
        ({"slug": "Not A Slug"}, "/slug"),
        ({"colour": "blue"}, "/colour"),
        ({"name": None}, "/name"),
    ],
)
def test_a_bad_field_is_named_with_its_line_and_nothing_is_loaded(
    database: Database, values: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as caught:
        load(database, replaced("oecd", **values))
    number = next(line.number for line in seed() if line.slug == "oecd")
    assert [fault.pointer for fault in caught.value.faults] == [f"/organizations/{number}{pointer}"]
    assert revisions(database) == 0


def test_a_bad_line_leaves_a_seeded_registry_as_it_is(seeded: Database) -> None:
    before = revisions(seeded)
    changed = [
        Line(li.resource, li.number, li.values | {"part_of": "nobody"}) if li.slug == "waipa" else li
        for li in replaced("ilo", acronym="OIT")
    ]
    with pytest.raises(Invalid):
        load(seeded, changed)
    assert revisions(seeded) == before
    assert body(seeded, "organizations", "ilo")["acronym"] == "ILO"


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


def test_a_passage_that_the_document_lacks_is_named() -> None:
    [line] = from_document(DOCUMENT)
    line.values["passages"][2]["section"] = 7
    with pytest.raises(Invalid) as caught:
        documents.with_text([line], passages.read(DOCUMENT))
    assert [fault.pointer for fault in caught.value.faults] == ["/passages/2"]


def test_a_source_without_its_places_is_refused_in_words() -> None:
    [line] = from_document(DOCUMENT)
    del line.values["passages"][0]["paragraph"]
    with pytest.raises(Invalid) as caught:
        documents.with_text([line], passages.read(DOCUMENT))
    assert [fault.pointer for fault in caught.value.faults] == ["/sources/1/passages/0/paragraph"]


def test_the_command_takes_a_document_for_a_seed_of_any_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another seed, another document; the document is needed once."""
    [line] = from_document(DOCUMENT)
    (tmp_path / "sources.jsonl").write_text(json.dumps(line.values) + "\n")
    (tmp_path / "document.txt").write_bytes(DOCUMENT)
    url = server.fresh("empty")
    monkeypatch.setattr(cli, "SEED", tmp_path)
    monkeypatch.setenv("CONCORD_DATABASE_URL", url)
    assert cli.main(["seed", "--document", str(tmp_path / "document.txt")]) == 0
    assert capsys.readouterr().out.startswith("Seed: 1 created")
    assert cli.main(["seed"]) == 0
    assert capsys.readouterr().out.startswith("Seed: 0 created, 0 changed, 1 unchanged")
    database = records.open_database(url, pool_size=1)
    assert texts(database) == [p.text for p in passages.read(DOCUMENT).passages]
    database.close()


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not part of the project")
def test_the_page_itself_fits_the_seed_and_none_of_its_sentences_is_in_the_project(database: Database) -> None:
    report = load(database, documents.with_text(seed(), passages.read(PAGE.read_bytes())))
    assert report.created == len(seed())
    stored = body(database, "sources", "mne-declaration-page")["passages"]
    assert len(stored) == 29
    assert all(passage["text"] for passage in stored)
    named = [line for line in lines("organizations") if line["slug"] in LONG_NAMES]
    names = [
        words(name) for line in named for name in (line["name"], *(o["value"] for o in line.get("other_names", ())))
    ]
    assert max(map(len, names)) <= 17
    runs = set(nines(words(PAGE.read_text()))) - {run for name in names for run in nines(name)}
    committed = subprocess.run(["git", "ls-files", "-z"], cwd=HOME, capture_output=True, text=True, check=True).stdout
    for file in filter(None, committed.split("\0")):
        path = HOME / file
        if path.is_file():
            assert not runs & set(nines(words(path.read_text(errors="replace")))), file


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def nines(found: list[str]) -> list[tuple[str, ...]]:
    return [tuple(found[n : n + 9]) for n in range(len(found) - 8)]


def test_a_name_that_somebody_has_taken_leaves_out_its_line_and_those_that_refer_to_it(database: Database) -> None:
    people = NOUNS["organizations"]
    data = people.write.model_validate({"slug": "my-waipa", "name": "WAIPA Consultative Committee", "kind": "other"})
    database.write(lambda tx: records.create(tx, people, data), Author("officer"))
    mine = [line for line in seed() if line.resource is people]
    first = load(database, mine)
    assert (first.created, first.kept) == (25, [])  # told apart by what it is a part of
    twin = people.write.model_validate({"slug": "my-lake", "name": "Lake office", "kind": "other"})
    database.write(lambda tx: records.create(tx, people, twin), Author("officer"))
    lake = Line(people, 1, {"slug": "lake-office", "name": "LAKE OFFICE", "kind": "other"})
    branch = Line(people, 2, {"slug": "lake-branch", "name": "Lake branch", "kind": "organ", "part_of": "lake-office"})
    other = Line(people, 3, {"slug": "river-office", "name": "River office", "kind": "other"})
    report = load(database, [lake, branch, other])
    assert report.created == 1
    assert report.kept == [
        "organizations/lake-office: The organization 'my-lake' has the same name.",
        "organizations/lake-branch: refers to lake-office, which is not there",
    ]


def test_a_new_line_that_refers_to_what_somebody_has_withdrawn_is_left_out(seeded: Database) -> None:
    seeded.write(lambda tx: records.withdraw(tx, NOUNS["milestones"], "wif-2018-session", "*"), Author("officer"))
    target = {"noun": "milestones", "record": "wif-2018-session"}
    line = {"slug": "late", "source": "mne-declaration-page", "target": target, "support": "implies"}
    report = load(seeded, [*seed(), Line(NOUNS["citations"], 999, line)])
    assert "citations/late: refers to wif-2018-session, which is not there" in report.kept
    assert report.created == 0
