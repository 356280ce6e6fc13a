"""Dossiers: what happened since, line by line with its evidence, as JSON, Markdown and HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.conftest import Ticking
from tests.support.answers import Json, parameters, problem
from tests.support.builders import (
    citation,
    collaboration,
    milestone,
    organization,
    passage,
    patch,
    review,
    source,
    withdraw,
)
from tests.v1.test_collaborations import on

PLACE = {"section": 1, "paragraph": 2, "sentence": 3}
DOSSIER = "/v1/collaborations/forum/dossier"


def number(client: httpx.Client) -> str:
    return client.get("/v1/changes").headers["etag"].strip('"s')


def lines(client: httpx.Client, path: str = DOSSIER) -> list[tuple[str, str, str, str]]:
    return [(line["about"], line["event"], line["record"], line["field"]) for line in client.get(path).json()["lines"]]


def story(client: httpx.Client, clock: Ticking) -> str:
    """A collaboration, and what became of it after the number that is returned."""
    on(clock, "2026-01-01")
    for slug in ("ilo", "oecd"):
        organization(client, slug=slug)
    source(client, slug="page", passages=[passage(1, 2, 3, "It was signed.")])
    collaboration(
        client, slug="forum", title="Forum <b>& *more*", participants=[{"organization": "ilo", "role": "host"}]
    )
    for slug, more in (
        ("signed", {"status": "planned"}), ("report", {"status": "planned", "due": "2026-02"}), ("gone", {"status": "met"}),
        ("failed", {"status": "planned"}),
    ):  # fmt: skip
        milestone(client, slug=slug, title=f"Milestone {slug}", collaboration="forum", **more)
    citation(client, slug="old", source="page", target={"noun": "collaborations", "record": "forum"})
    then = number(client)
    on(clock, "2026-03-01")
    patch(client, collaboration, {"slug": "forum"}, status="active", participants=[
        {"organization": "ilo", "role": "host"}, {"organization": "oecd", "role": "speaker"},
    ])  # fmt: skip
    patch(client, milestone, {"slug": "signed"}, status="met", date="2026-02-10")
    patch(client, milestone, {"slug": "failed"}, status="cancelled")
    withdraw(client, milestone, {"slug": "gone"})
    milestone(client, slug="new", title="Milestone new", collaboration="forum", status="planned")
    about = {"noun": "milestones", "record": "signed"}
    citation(client, slug="proof", source="page", target=about, passages=[PLACE], field="/date")
    citation(
        client,
        slug="denial",
        source="page",
        target={"noun": "collaborations", "record": "forum"},
        support="contradicts",
    )
    withdraw(client, citation, {"slug": "old"})
    item = {"collaboration": "forum", "finding": "noted"}
    review(client, slug="held", title="Session", date="2026-02-20", items=[item])
    return then


def test_every_kind_of_event_is_told_once(client: httpx.Client, clock: Ticking) -> None:
    then = story(client, clock)
    assert lines(client, f"{DOSSIER}?since={then}") == [
        ("collaboration", "changed", "forum", "/status"),
        ("participant", "added", "forum", "/participants/1"),
        ("milestone", "missed", "failed", "/status"),
        ("milestone", "withdrawn", "gone", ""),
        ("milestone", "added", "new", "/status"),
        ("milestone", "missed", "report", "/status"),
        ("milestone", "met", "signed", "/status"),
        ("milestone", "changed", "signed", "/date"),
        ("evidence", "contradicted", "denial", ""),
        ("evidence", "withdrawn", "old", ""),
        ("evidence", "confirmed", "proof", "/date"),
        ("review", "added", "held", ""),
    ]
    assert lines(client, f"{DOSSIER}?since={number(client)}") == []


def test_a_line_says_what_was_and_is_which_write_told_it_and_where_it_stands(
    client: httpx.Client, clock: Ticking
) -> None:
    then = story(client, clock)
    shown = client.get(f"{DOSSIER}?since={then}").json()
    line = next(row for row in shown["lines"] if (row["record"], row["field"]) == ("signed", "/date"))
    assert (line["was"], line["now"], line["title"]) == (None, "2026-02-10", "Milestone signed")
    assert line["citations"] == [{"citation": "proof", "source": "page", "support": "states", "passages": [PLACE]}]
    last = client.get("/v1/milestones/signed/revisions").json()["items"][0]
    assert (line["sequence"], line["at"]) == (last["sequence"], last["at"])
    passed = next(row for row in shown["lines"] if row["record"] == "report")
    assert (passed["event"], passed["sequence"]) == ("missed", None)
    assert (shown["since"], shown["until"]) == (
        {"sequence": int(then), "review": None}, {"sequence": int(number(client)), "on": "2026-03-01"},
    )  # fmt: skip
    assert (shown["collaboration"], shown["status"], shown["last_reviewed"]) == ("forum", "active", "2026-02-20")


def test_it_begins_at_the_last_review_or_where_it_is_told(client: httpx.Client, clock: Ticking) -> None:
    then = story(client, clock)
    assert client.get(DOSSIER).json()["since"] == {"sequence": int(then), "review": "held"}
    assert client.get(f"{DOSSIER}?since=held").json()["since"] == {"sequence": int(then), "review": "held"}
    for day in ("2026-02-20", "2026-01-01", "2026-01-01T23:00:00Z"):
        assert client.get(f"{DOSSIER}?since={day}").json()["since"] == {"sequence": int(then), "review": None}
    everything = lines(client, f"{DOSSIER}?since=0")
    assert ("collaboration", "added", "forum", "") in everything
    fresh = collaboration(client)
    assert client.get(f"/v1/collaborations/{fresh['slug']}/dossier").json()["since"]["sequence"] == 0


def test_a_begin_that_there_is_not_is_refused(client: httpx.Client) -> None:
    collaboration(client, slug="forum")
    review(client, slug="undated")
    review(client, slug="ahead", date="2999")
    for value in ("nothing", "undated", "ahead", "2999-01-01", "9999999", "Not a slug"):
        refused = problem(client, client.get(DOSSIER, params={"since": value}), 422)
        assert parameters(refused)[0] in ("since", "as_of")
    problem(client, client.get("/v1/collaborations/nothing/dossier"), 404)
    problem(client, client.get("/v1/reviews/nothing/dossier"), 404)


def test_a_review_takes_along_what_happened_since_the_one_before(client: httpx.Client, clock: Ticking) -> None:
    story(client, clock)
    collaboration(client, slug="other")
    on(clock, "2026-03-05")
    patch(client, collaboration, {"slug": "forum"}, summary="Summed up.")
    items = [{"collaboration": slug, "finding": "noted"} for slug in ("other", "forum")]
    review(client, slug="next", title="Next session", status="planned", date="2026-03-20", items=items)
    dossier = client.get("/v1/reviews/next/dossier").json()
    assert (dossier["review"], dossier["title"]) == ("next", "Next session")
    assert [(s["collaboration"], s["since"]["review"]) for s in dossier["sections"]] == [
        ("other", None),
        ("forum", "held"),
    ]
    assert "/summary" in [line["field"] for line in dossier["sections"][1]["lines"]]
    assert client.get("/v1/reviews/held/dossier").json()["sections"][0]["since"]["review"] is None


def test_it_is_answered_in_the_form_that_is_liked_best(client: httpx.Client, clock: Ticking) -> None:
    then = story(client, clock)
    path = f"{DOSSIER}?since={then}"
    tags = set()
    for accept, kind in (
        (None, "application/json"), ("*/*", "application/json"), ("text/markdown", "text/markdown"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/*;q=0.5, application/json;q=0.1", "text/markdown"), ("nonsense", "application/json"),
        ("text/html;q=0, text/*", "text/markdown"),
    ):  # fmt: skip
        answer = client.get(path, headers={} if accept is None else {"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == kind, accept
        assert answer.headers["vary"] == "Accept"
        tags.add((kind, answer.headers["etag"]))
        same = client.get(path, headers={"Accept": accept or "*/*", "If-None-Match": answer.headers["etag"]})
        assert same.status_code == 304
    assert len(tags) == len({tag for _, tag in tags}) == 3
    refused = client.get(path, headers={"Accept": "image/png"})
    assert problem(client, refused, 406)["offered"] == ["application/json", "text/markdown", "text/html"]


def test_markdown_shows_what_the_registry_holds_as_text(client: httpx.Client, clock: Ticking) -> None:
    then = story(client, clock)
    text = client.get(f"{DOSSIER}?since={then}", headers={"Accept": "text/markdown"}).text
    assert text.startswith("# Forum \\<b\\>\\& \\*more\\*\n")
    assert "- **added** oecd as speaker\n" in text
    assert "- **changed** Milestone signed: date: 2026-02-10 \\[page 1.2.3\\]\n" in text
    assert "- **missed** Milestone report\n" in text


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(client: httpx.Client, clock: Ticking) -> None:
    then = story(client, clock)
    answer = client.get(f"{DOSSIER}?since={then}", headers={"Accept": "text/html"})
    page = Page()
    page.feed(answer.text)
    assert {"h1", "h2", "h3", "li"} <= set(page.tags)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "Forum <b>& *more*" in page.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("accept", ["text/html", "text/markdown"])
def test_nothing_happened_is_said_in_words(client: httpx.Client, accept: str) -> None:
    collaboration(client, slug="forum")
    answer = client.get(f"{DOSSIER}?since={number(client)}", headers={"Accept": accept})
    assert "Nothing was recorded." in answer.text


def test_the_dossier_of_a_past_day_is_what_it_was(client: httpx.Client, clock: Ticking) -> None:
    then = story(client, clock)
    last = number(client)
    seen: Json = client.get(f"{DOSSIER}?since={then}").json()
    patch(client, collaboration, {"slug": "forum"}, summary="Later.")
    assert client.get(f"{DOSSIER}?since={then}&as_of={last}").json() == seen
