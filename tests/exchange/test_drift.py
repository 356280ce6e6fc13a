"""Drift: what becomes of the passages that are cited when their source is written anew."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.exchange import passages
from app.exchange.drift import Finding, Old, Verdict, compare, verdict_of
from app.exchange.passages import Document
from tests.support.editions import EARLIER, LATER


def document(text: str) -> Document:
    return passages.read(text.encode())


def old(text: str, *, known: bool = True) -> list[Old]:
    return [
        Old((p.section, p.paragraph, p.sentence), p.fingerprint, p.text if known else None)
        for p in document(text).passages
    ]


def verdicts(before: str, after: str, *, known: bool = True) -> dict[str, tuple[str, str, float | None]]:
    """For each older sentence: verdict, the newer sentence, similarity."""
    older = old(before)
    newer = {(p.section, p.paragraph, p.sentence): p.text for p in document(after).passages}
    findings = compare(old(before, known=known), document(after), set()).findings
    return {
        each.text or "": (str(f.verdict), newer[f.now] if f.now else "", f.similarity)
        for each in older
        if (f := findings[each.place])
    }


def test_a_new_edition_keeps_moves_rewords_and_drops() -> None:
    found = verdicts(EARLIER, LATER)
    assert found["It reports to its board every two years."][0] == "holds"
    forum = "The office attends the annual forum on business and human rights."
    assert found[forum] == ("moved", forum, 1.0)
    verdict, now, similarity = found["The office helped to revise the guidelines in 2011."]
    assert (verdict, now) == ("changed", "The office helped to revise the guidelines in 2011 and again in 2023.")
    assert similarity is not None
    assert 0.6 <= similarity < 1
    assert found["It comments on the drafts of the working group."][0] == "changed"
    for dropped in ("Invited experts took part in them.", "The agreement promotes decent work in supply chains."):
        assert found[dropped] == ("gone", "", None)
    assert {v for v, _, _ in found.values()} == {"holds", "moved", "changed", "gone"}


def test_without_the_words_a_reworded_sentence_is_gone() -> None:
    found = verdicts(EARLIER, LATER, known=False)
    assert found["The office helped to revise the guidelines in 2011."] == ("gone", "", None)
    assert found["It reports to its board every two years."][0] == "holds"


def test_what_nothing_cites_is_listed_once() -> None:
    older = old(EARLIER)
    cited = {each.place for each in older}
    texts = [p.text for p in compare(older, document(LATER), cited).uncited]
    assert texts == [
        "The project Responsible Business Conduct in Latin America and the Caribbean ran from 2019 to 2022.",
        "It was carried by the EU, the ILO, the OECD and the OHCHR.",
    ]
    assert len(compare(older, document(LATER), set()).uncited) == len(document(LATER).passages)


def test_a_sentence_that_comes_up_twice_stays_where_it_is_and_then_follows_the_text() -> None:
    before = "The same. Another here. The same."
    after = "The same. Something quite different now stands. Yet more text follows. The same."
    found = compare(old(before), document(after), set()).findings
    assert [found[1 - 1, 1, n].now for n in (1, 3)] == [(0, 1, 1), (0, 1, 4)]
    fewer = compare(old(before), document("New first. The same."), set()).findings
    assert [fewer[0, 1, n].verdict for n in (1, 3)] == [Verdict.moved, Verdict.gone]


@given(st.lists(st.sampled_from(["One fact.", "Two facts.", "The same fact here.", "Yet another one."]), max_size=12))
def test_a_text_against_itself_holds_everywhere(sentences: list[str]) -> None:
    text = " ".join(sentences)
    older = old(text)
    found = compare(older, document(text), {each.place for each in older})
    assert {f.verdict for f in found.findings.values()} <= {Verdict.holds}
    assert found.uncited == ()


WORDS = st.lists(st.sampled_from("body office forum holds met year 2014 works".split()), min_size=1, max_size=6)  # noqa: SIM905
SENTENCES = st.lists(WORDS.map(lambda words: " ".join(words).capitalize() + "."), max_size=10).map(" ".join)


@given(SENTENCES, SENTENCES)
def test_no_new_passage_is_taken_twice_and_every_old_one_is_found(before: str, after: str) -> None:
    older = old(before)
    found = compare(older, document(after), {each.place for each in older})
    taken = [f.now for f in found.findings.values() if f.now is not None]
    assert len(taken) == len(set(taken))
    assert set(found.findings) == {each.place for each in older}
    assert len(taken) + len(found.uncited) == len(document(after).passages)
    assert found == compare(older, document(after), {each.place for each in older})


def finding(verdict: Verdict, similarity: float | None) -> Finding:
    return Finding(verdict, (0, 1, 1), None if verdict is Verdict.gone else (0, 1, 1), similarity)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], (Verdict.holds, None)),
        ([(Verdict.holds, 1.0), (Verdict.holds, 1.0)], (Verdict.holds, 1.0)),
        ([(Verdict.holds, 1.0), (Verdict.moved, 1.0)], (Verdict.moved, 1.0)),
        ([(Verdict.gone, None), (Verdict.gone, None)], (Verdict.gone, None)),
        ([(Verdict.holds, 1.0), (Verdict.gone, None)], (Verdict.changed, 0.0)),
        ([(Verdict.changed, 0.8), (Verdict.moved, 1.0)], (Verdict.changed, 0.8)),
    ],
)
def test_a_citation_of_several_passages_is_what_became_of_all(
    findings: Iterable[tuple[Verdict, float | None]], expected: tuple[Verdict, float | None]
) -> None:
    assert verdict_of([finding(*each) for each in findings]) == expected


@pytest.mark.parametrize("kind", ["alike", "random", "long"])
def test_thousands_of_reworded_sentences_take_seconds_at_most(kind: str) -> None:
    chance = random.Random(1)  # noqa: S311

    def text(edition: str) -> str:
        words = [f"word{n}" for n in range(2_000)]
        if kind == "alike":
            return " ".join(f"The office met the board in year {n} {edition}." for n in range(5_000))
        length, count = (2_000, 100) if kind == "long" else (12, 5_000)
        return " ".join(f"S{' '.join(chance.choices(words, k=length))} {edition}." for _ in range(count))

    older, newer = old(text("before")), document(text("after"))
    start = time.process_time()
    compare(older, newer, set())
    assert time.process_time() - start < 15  # two at most on a quiet machine
