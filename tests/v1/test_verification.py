"""Verification: what a newer text of a source means for its citations, and taking it in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.exchange import passages
from app.kit.db import Database
from tests.support.answers import Json, nothing_written, parameters, problem, slugs, walk
from tests.support.builders import citation, organization, source, withdraw
from tests.support.editions import EARLIER, EARLIER_HTML, LATER, LATER_HTML
from tests.test_cli import run

PATH = "/v1/sources/page/verification"
TEXT, HTML = {"Content-Type": "text/plain"}, {"Content-Type": "text/html; charset=utf-8"}


def place(section: int, paragraph: int, sentence: int) -> Json:
    return {"section": section, "paragraph": paragraph, "sentence": sentence}


# slug of the citation -> the places that it names, and what becomes of them
CITED: dict[str, tuple[list[Json], str, list[Json]]] = {
    "reports": ([place(1, 1, 2)], "holds", [place(1, 1, 2)]),
    "forum": ([place(4, 1, 1)], "moved", [place(2, 1, 1)]),
    "guidelines": ([place(3, 1, 1)], "changed", [place(3, 1, 1)]),
    "tables": ([place(2, 1, 1), place(2, 1, 2)], "gone", []),
    "games": ([place(6, 1, 1), place(1, 1, 1)], "changed", [place(1, 1, 1)]),
    "whole": ([], "holds", []),
}


def page(client: httpx.Client, *, known: bool = True) -> None:
    """The earlier edition, with a citation for an organization from some of its places."""
    read = passages.read(EARLIER.encode())
    stored = [
        {**place(p.section, p.paragraph, p.sentence), "fingerprint": p.fingerprint, "text": p.text if known else None}
        for p in read.passages
    ]
    source(
        client,
        slug="page",
        title="The page",
        url="https://office.example/page",
        language="en",
        passages=stored,
        sha256=read.sha256,
    )
    for slug, (places, _, _) in CITED.items():
        organization(client, slug=f"of-{slug}")
        target = {"noun": "organizations", "record": f"of-{slug}"}
        citation(
            client, slug=slug, source="page", passages=places, target=target, note=f"Note {slug}", stated_value="x"
        )


def verify(client: httpx.Client, text: str, headers: dict[str, str], query: str = "") -> Any:
    answer = client.post(f"{PATH}{query}", content=text.encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("text", "headers"), [(LATER, TEXT), (LATER_HTML, HTML)], ids=["plain", "html"])
def test_each_citation_is_told_what_became_of_it_and_nothing_is_written(
    client: httpx.Client, text: str, headers: dict[str, str]
) -> None:
    page(client)
    with nothing_written(client):
        found = verify(client, text, headers)
    assert {row["citation"]: (row["was"], row["verdict"], row["now"]) for row in found["citations"]} == CITED
    assert found["summary"] == {"holds": 2, "moved": 1, "changed": 2, "gone": 1, "uncited": len(found["uncited"])}
    row = next(row for row in found["citations"] if row["citation"] == "guidelines")
    assert row["target"] == {"noun": "organizations", "record": "of-guidelines"}
    assert 0.6 <= row["similarity"] < 1
    texts = [passage["text"] for passage in found["uncited"]]
    assert "It was carried by the EU, the ILO, the OECD and the OHCHR." in texts
    assert found["accepted"] is None


def test_without_the_older_words_only_what_stands_word_for_word_is_found(client: httpx.Client) -> None:
    page(client, known=False)
    found = verify(client, LATER, TEXT)
    assert {row["citation"]: row["verdict"] for row in found["citations"]} == {
        "reports": "holds", "forum": "moved", "guidelines": "gone", "tables": "gone", "games": "changed", "whole": "holds",
    }  # fmt: skip


def test_the_same_text_holds_everywhere_also_as_html(client: httpx.Client) -> None:
    page(client)
    for text, headers in ((EARLIER, TEXT), (EARLIER_HTML, HTML)):
        assert verify(client, text, headers)["summary"]["holds"] == len(CITED)


def test_a_newer_text_is_taken_in_as_an_edition_with_what_holds_or_moved(client: httpx.Client) -> None:
    page(client)
    before = {slug: client.get(f"/v1/citations/{slug}").json() for slug in CITED} | {
        "": client.get("/v1/sources/page").json()
    }
    found = verify(client, LATER, TEXT, "?accept=true&published=2024-03-28")
    assert found["accepted"] == "page-2026-03-01"
    edition = client.get("/v1/sources/page-2026-03-01").json()
    assert {name: edition[name] for name in ("title", "kind", "url", "language", "replaces", "published")} == {
        "title": "The page", "kind": "web_page", "url": "https://office.example/page", "language": "en", "replaces": "page",
        "published": "2024-03-28",
    }  # fmt: skip
    assert edition["sha256"] == hashlib.sha256(LATER.encode()).hexdigest()
    assert edition["retrieved"].startswith("2026-03-01T09:00")
    assert len(edition["passages"]) == len(passages.read(LATER.encode()).passages)
    carried = walk(client, "/v1/citations?source=page-2026-03-01")
    assert {c["target"]["record"]: (c["passages"], c["note"], c["stated_value"]) for c in carried} == {
        "of-reports": ([place(1, 1, 2)], "Note reports", "x"), "of-forum": ([place(2, 1, 1)], "Note forum", "x"),
        "of-whole": ([], "Note whole", "x"),
    }  # fmt: skip
    after = {slug: client.get(f"/v1/citations/{slug}").json() for slug in CITED} | {
        "": client.get("/v1/sources/page").json()
    }
    assert after == before
    assert client.get("/v1/organizations/of-forum").json()["evidence"]["sources"] == ["page", "page-2026-03-01"]
    again = client.post("/v1/sources/page-2026-03-01/verification", content=LATER, headers=TEXT).json()
    assert again["summary"]["holds"] == len(again["citations"]) == 3


def test_a_text_is_taken_in_once(client: httpx.Client) -> None:
    page(client)
    verify(client, LATER, TEXT, "?accept=true")
    with nothing_written(client):
        for text, existing in ((LATER, "page-2026-03-01"), (EARLIER, "page")):
            refused = client.post(f"{PATH}?accept=true", content=text, headers=TEXT)
            assert problem(client, refused, 409)["existing"] == existing
    assert verify(client, LATER_HTML, HTML, "?accept=true")["accepted"] == "page-2026-03-01-2"


def test_a_bad_verification_is_refused_and_changes_nothing(client: httpx.Client) -> None:
    page(client)
    with nothing_written(client):
        problem(client, client.post(PATH, json={"text": LATER}), 415)
        problem(client, client.post(PATH, content=LATER, headers={"Content-Type": "text/plain; charset=latin-1"}), 415)
        problem(client, client.post(PATH, content=b"caf\xe9", headers=TEXT), 400)
        problem(client, client.post(PATH, content=b"a\0b", headers=TEXT), 400)
        problem(client, client.post(PATH, content=b"a" * 1_100_000, headers=TEXT), 413)
        problem(client, client.post(PATH, content=b"A b. " * 5_001, headers=TEXT), 400)
        problem(client, client.post(PATH, content=b"<meta charset=latin1><p>A.", headers=HTML), 400)
        problem(client, client.post("/v1/sources/nothing/verification", content="A.", headers=TEXT), 404)
        assert parameters(problem(client, client.post(f"{PATH}?published=soon", content="A.", headers=TEXT), 422)) == [
            "published"
        ]
        assert parameters(problem(client, client.post(f"{PATH}?accept=yes", content="A.", headers=TEXT), 422)) == [
            "accept"
        ]
        forbidden = client.post(PATH, content="A.", headers=TEXT | {"Authorization": "Bearer x"})
        problem(client, forbidden, 401)
    assert verify(client, "", TEXT)["summary"] == {"holds": 1, "moved": 0, "changed": 0, "gone": 5, "uncited": 0}
    withdraw(client, citation, {"slug": "whole"})
    assert "whole" not in [row["citation"] for row in verify(client, LATER, TEXT)["citations"]]


def test_what_the_registry_cannot_hold_as_text_keeps_its_fingerprint(client: httpx.Client) -> None:
    page(client)
    text = f"A sentence with a zero-width\u200bspace. W{'word ' * 900}end."
    slug = verify(client, text, TEXT, "?accept=true")["accepted"]
    kept = client.get(f"/v1/sources/{slug}").json()["passages"]
    assert [passage["text"] for passage in kept] == [None, None]
    assert verify(client, text, TEXT)["summary"]["uncited"] == 2


def test_the_command_verifies_and_accepts(client: httpx.Client, database: Database, tmp_path: Path) -> None:
    page(client)
    plain, html = tmp_path / "later.txt", tmp_path / "later.HTML"
    plain.write_text(LATER, encoding="utf-8")
    html.write_text(LATER_HTML, encoding="utf-8")
    url = database.engine.url.render_as_string(hide_password=False)
    said = run("verify", "page", str(html), database_url=url)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("2 holds, 1 moved, 2 changed, 1 gone, ")
    assert "  moved organizations/of-forum: 4.1.1 → 2.1.1\n" in said.stdout
    assert "  gone organizations/of-tables: 2.1.1, 2.1.2 → nowhere\n" in said.stdout
    assert "uncited 5.1.2: It was carried by the EU" in said.stdout
    said = run("verify", "page", str(plain), "--accept", "--published", "2024-03-28", database_url=url)
    assert said.returncode == 0, said.stderr
    assert "Accepted as page-" in said.stdout
    assert len(slugs(client, "/v1/sources?replaces=page")) == 1
    for words in (("verify", "nothing", str(plain)), ("verify", "page", str(tmp_path / "none"))):
        said = run(*words, database_url=url)
        assert said.returncode == 1
        assert said.stderr.startswith("concord: ")
        assert "Traceback" not in said.stderr
