"""R6, R17: many clients write the same records at once, through two processes. No write is lost, none is done by half."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.prove.callers import Caller, Crowd, Served, sequence, walk_changes
from tests.support.proofs import Proof
from tests.support.wire import Answer

HOME = "/v1/organizations"
Json = dict[str, Any]


@pytest.fixture
def crowd(workers: Served) -> Iterator[Crowd]:
    made = Crowd(workers.port, 8)
    yield made
    made.close()


# --- R6 ---------------------------------------------------------------------------------------------------------------


def patch(caller: Caller, at: str, tag: str, body: Json) -> Answer:
    return caller.ask("PATCH", at, {"acronym": body["acronym"]}, If_Match=tag)


def put(caller: Caller, at: str, tag: str, body: Json) -> Answer:
    return caller.ask("PUT", at, body, If_Match=tag)


def batch(verb: str) -> Callable[[Caller, str, str, Json], Answer]:
    """The same in a batch, behind a write of a record of the caller's own: that must not stay where the other is refused."""

    def ask(caller: Caller, at: str, tag: str, body: Json) -> Answer:
        own = {"title": body["acronym"], "kind": "report"}
        operation = {
            "verb": verb, "noun": "organizations", "record": at.rpartition("/")[2], "if_match": tag,
            **({"body": body} if verb in ("put", "patch") else {}),
        }  # fmt: skip
        return caller.ask("POST", "/v1/batch", {"operations": [
            {"verb": "create", "noun": "sources", "body": own}, operation,
        ]})  # fmt: skip

    return ask


def withdraw(caller: Caller, at: str, tag: str, _body: Json) -> Answer:
    return caller.ask("DELETE", at, If_Match=tag)


def restore(caller: Caller, at: str, tag: str, _body: Json) -> Answer:
    return caller.ask("POST", f"{at}/restore", If_Match=tag)


def bring_back(caller: Caller, at: str, tag: str, _body: Json) -> Answer:
    return caller.ask("POST", f"{at}/revisions/1/restore", If_Match=tag)


CONTESTS: tuple[tuple[str, Callable[[Caller, str, str, Json], Answer], str], ...] = (
    ("PATCH", patch, "changed"),
    ("PUT", put, "changed"),
    ("a revision brought back", bring_back, "changed"),
    ("patch in a batch", batch("patch"), "changed"),
    ("put in a batch", batch("put"), "changed"),
    ("DELETE", withdraw, "withdrawn"),
    ("restore", restore, "restored"),
    ("withdrawal in a batch", batch("withdraw"), "withdrawn"),
    ("restore in a batch", batch("restore"), "restored"),
)
"""Ways of writing under a condition, in an order in which each has something to do, and what a revision says of each."""


@pytest.mark.proves("R6")
def test_of_equal_conditional_writes_at_once_exactly_one_is_done(caller: Caller, crowd: Crowd, proof: Proof) -> None:
    rounds = proof.rounds(3, 200)
    slug = f"contested-{sequence(caller)}"
    at, since = f"{HOME}/{slug}", sequence(caller)
    assert caller.ask("POST", HOME, {"slug": slug, "name": slug, "kind": "other"}).status == 201
    winners: list[tuple[str, str | None]] = [("created", None)]
    for turn in range(rounds):
        for way, ask, action in CONTESTS:
            tag = f'"v{len(winners)}"'
            names = [f"{turn} {way} {n}" for n in range(8)]
            answers = crowd.at_once(
                lambda one, n, ask=ask, tag=tag, names=names: ask(  # type: ignore[misc]
                    one, at, tag, {"name": slug, "kind": "other", "acronym": names[n]}
                )
            )
            done = [n for n, answer in enumerate(answers) if answer.status in (200, 204)]
            assert len(done) == 1, (way, Counter(answer.status for answer in answers))
            assert {answer.status for n, answer in enumerate(answers) if n not in done} <= {412, 410}
            told = names[done[0]] if ask is not bring_back and action == "changed" else None
            winners.append((action, told))
    revisions = [change for change in walk_changes(caller, since, "organizations") if change["slug"] == slug]
    assert [change["version"] for change in revisions] == list(range(1, len(winners) + 1))
    assert [change["action"] for change in revisions] == [action for action, _ in winners]
    for version, (_, told) in enumerate(winners[-60:], max(1, len(winners) - 59)):
        if told is not None:
            assert caller.get(f"{at}/revisions/{version}")["record"]["acronym"] == told
    batches = sum("batch" in way for way, _, _ in CONTESTS)
    assert len(walk_changes(caller, since, "sources")) == rounds * batches  # the losers' own records are not there
    contests = rounds * len(CONTESTS)
    proof.count("writes of one record by 8 clients at once under one ETag", 8 * contests, at_least=8 * contests)
    proof.count("those of them that were done: one of 8", len(revisions) - 1, at_least=contests, at_most=contests)


# --- R17 --------------------------------------------------------------------------------------------------------------


@pytest.mark.proves("R17")
def test_batches_of_overlapping_records_in_any_order_all_end_and_none_by_half(
    caller: Caller, crowd: Crowd, proof: Proof
) -> None:
    """Each client writes some of twelve records in an order of its own, every third time with a last write that is refused:
    what a batch wrote, it wrote to all of its records, with nothing of another between."""
    rounds = proof.rounds(3, 100)
    since = sequence(caller)
    slugs = [f"lot-{since}-{n:02}" for n in range(12)]
    created = [
        {"verb": "create", "noun": "organizations", "body": {"slug": s, "name": s, "kind": "other"}} for s in slugs
    ]
    assert caller.ask("POST", "/v1/batch", {"operations": created}).status == 200
    statuses: Counter[int] = Counter()
    accepted: dict[str, list[str]] = {}
    for turn in range(rounds):
        chosen = [_some(slugs, turn, n) for n in range(8)]
        answers = crowd.at_once(
            lambda one, n, turn=turn, chosen=chosen: one.ask(  # type: ignore[misc]
                "POST", "/v1/batch", _batch(chosen[n], f"{turn}.{n}", refused=(turn + n) % 3 == 0)
            )
        )
        for n, answer in enumerate(answers):
            statuses[answer.status] += 1
            assert (answer.status == 404) == ((turn + n) % 3 == 0), answer
            if answer.status == 200:
                accepted[f"{turn}.{n}"] = chosen[n]
    assert set(statuses) == {200, 404}
    written = [change for change in walk_changes(caller, since, "organizations") if change["action"] == "changed"]
    assert [change["sequence"] for change in written] == list(
        range(written[0]["sequence"], written[0]["sequence"] + len(written))
    )
    told = [change["reason"] for change in written]
    assert len(written) == sum(map(len, accepted.values()))
    assert told == [None] * len(written)
    at = 0
    names = _names(caller, written)
    while at < len(written):
        batch = accepted.pop(names[at])
        assert [change["slug"] for change in written[at : at + len(batch)]] == batch
        assert set(names[at : at + len(batch)]) == {names[at]}
        at += len(batch)
    assert accepted == {}
    proof.count("batches of overlapping records in opposite orders, 8 at once", sum(statuses.values()), at_least=24)
    proof.count("answers of 5xx to them", sum(count for status, count in statuses.items() if status >= 500), at_most=0)


def _some(slugs: list[str], turn: int, n: int) -> list[str]:
    """Some of the records: in order, in reverse, or anyhow."""
    dice = random.Random(1000 * turn + n)  # noqa: S311
    some = sorted(dice.sample(slugs, dice.randint(2, len(slugs))))
    return some if n % 3 == 0 else some[::-1] if n % 3 == 1 else dice.sample(some, len(some))


def _batch(slugs: list[str], name: str, *, refused: bool) -> Json:
    writes = [
        {"verb": "patch", "noun": "organizations", "record": slug, "if_match": "*", "body": {"acronym": name}}
        for slug in slugs
    ]
    last = {"verb": "restore", "noun": "organizations", "record": "nobody"}
    return {"operations": [*writes, *([last] if refused else [])]}


def _names(caller: Caller, changes: list[Json]) -> list[str]:
    """What each of these changes wrote."""
    return [
        caller.get(f"{HOME}/{change['slug']}/revisions/{change['version']}")["record"]["acronym"] for change in changes
    ]
