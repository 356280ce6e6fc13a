"""R1: whatever the description of the API allows and forbids, generated and sent; and walks along its links.

Schemathesis makes the requests from the description alone: its examples, the bounds of every parameter and field, random values
that fit and that do not, and chains of operations along the links (create, read, withdraw, read again, …). Each answer goes
through all of its checks; `EXCUSED` are the findings that are right by the contract, each with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis import Case, Response, engine
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree
from schemathesis.schemas import BaseSchema

from app.api.limits import Failures
from app.api.v1 import RESOURCES
from tests.support.proofs import Proof
from tests.support.wire import AUTHORIZED

SEED = 20_261_126
CASES = {"admin": 20_000, "anonymous": 1_000}
OPERATIONS = 151
SUITES = {"admin": 8, "anonymous": 0}
"""So often chains of operations begin anew, in the full form."""
LINKS = {"admin": 15, "anonymous": 0}  # without a key nothing is made from which a link could lead on
ALIKE = (
    "^/v1/("
    + "|".join(noun.plural for noun in RESOURCES if noun.plural not in ("organizations", "citations"))
    + ")[/.]?"
)
"""Nouns that the short form leaves out: their routes are those of the others."""
NEGATIVE = ("400", "401", "403", "404", "405", "406", "409", "415", "422", "428", "429")
HEADERLESS = ("400", "401", "403", "406", "415", "422", "428")
REFUSED_FIRST = ("410", "412")
"""A record that is withdrawn, or has another version, is refused before anything else of a request is looked at."""

# --- what is right by the contract, though a check that knows the description alone calls it a fault --------------------


def problem(answer: Response) -> Mapping[str, Any]:
    """The problem document that was answered; empty where it was something else."""
    found: Mapping[str, Any] = json.loads(answer.content) if answer.status_code >= 400 else {}
    return found


def slug(answer: Response) -> str:
    return str(problem(answer).get("type", "")).rpartition("/")[2]


def codes(answer: Response) -> set[str]:
    return {fault["code"] for fault in problem(answer).get("errors", ())}


OF_THE_MOMENT = {
    "gone": "the record was withdrawn",
    "precondition-failed": "it has another version",
    "precondition-required": "If-Match is needed where the record is there, If-None-Match where it is not",
    "idempotency-key-reused": "another request had this key",
    "invalid-cursor": "a cursor is made by the list that it goes on with",
}
"""Problems with what the registry holds and what was asked before: no schema knows that."""
NAMES = (
    "reference",
    "unknown_reference",
    "withdrawn_reference",
    "ambiguous_reference",
    "unknown_type",
    "unknown_column",
    "unknown_passage",
    "columns",
    "cycle",
    "since",
    "reserved",
    "merged",
)
DATES = ("edtf", "as_of", "moment", "day", "window", "past", "ahead")
TOGETHER = (
    "alone",
    "exclusive",
    "missing",
    "unused",
    "no_subject",
    "same",
    "nothing_to_change",
    "slug",
    "slug_differs",
)
TEXTS = ("control_character", "forbidden_character", "blank", "combining_marks", "url", "uri")
FILES = ("cell", "cells", "cell_count", "no_rows", "empty", "malformed")
HEADERS = ("change_reason", "if_match", "idempotency_key")
BEYOND_SCHEMAS = {
    **dict.fromkeys(NAMES, "a name of what is not there, or would be its own parent"),
    **dict.fromkeys(DATES, "a day that no calendar has, that is over, or is still to come"),
    **dict.fromkeys(TOGETHER, "fields that need or exclude each other"),
    **dict.fromkeys(TEXTS, "what no text or address may hold"),
    **dict.fromkeys(FILES, "a file in which there is no table"),
    **dict.fromkeys(HEADERS, "a header whose escapes or list do not work out"),
    "fingerprint": "a digest that is not that of its text",
    "repeated": "a list that holds one thing twice, or a parameter that is given twice",
    "read_only": "a field that the registry writes, with another value than it has",
    "int_type": "a whole number that is written with a point: 1.0",
}
"""Codes of faults that JSON Schema has no words for, with what they are."""


class Finding(NamedTuple):
    """What a check has found, in the answer to which request."""

    failure: Failure
    case: Case[Any]
    answer: Response


class Excuse(NamedTuple):
    """A kind of finding that is none, and why."""

    failure: type[Failure]
    when: Callable[[Finding], bool]
    because: str


EXCUSED = (
    Excuse(
        RejectedPositiveData,
        lambda found: slug(found.answer) in OF_THE_MOMENT,
        "it fits, and what the registry holds does not allow it",
    ),
    Excuse(
        RejectedPositiveData,
        lambda found: bool(codes(found.answer)) and codes(found.answer) <= set(BEYOND_SCHEMAS),
        "it fits the form, and breaks a rule that JSON Schema cannot say",
    ),
    Excuse(
        RejectedPositiveData,
        lambda found: codes(found.answer) == {"unknown_parameter"} and "format" in (found.case.query or {}),
        "in a form that is the whole list there are no pages",
    ),
    Excuse(
        RejectedPositiveData,
        lambda found: found.case.path == "/v1/reconcile" and slug(found.answer) == "malformed-request",
        "a parameter holds JSON, of which the description says no more than that",
    ),
    Excuse(
        RejectedPositiveData,
        lambda found: str(problem(found.answer).get("detail")).startswith("The number "),
        "a number of more digits than JSON is read with here, in a place that takes any value",
    ),
    Excuse(
        RejectedPositiveData,
        lambda found: found.case.path.endswith("/verification") and slug(found.answer) == "malformed-request",
        "a plain text has no NUL in it",
    ),
    Excuse(
        AcceptedNegativeData,
        lambda found: "in header - object with unexpected properties" in found.failure.message,
        "any request may have headers of which the description knows nothing",
    ),
    Excuse(
        UseAfterFree,
        lambda found: "/revisions" in found.case.path,
        "the history of a withdrawn record stays readable",
    ),
)


def is_fault(_: Any, failure: Failure, case: Case[Any], response: Response) -> bool:
    """As schemathesis asks it."""
    found = Finding(failure, case, response)
    return not any(isinstance(failure, each.failure) and each.when(found) for each in EXCUSED)


schemathesis.serializer.alias("application/x-ndjson", "text/plain")


# --- the walk -----------------------------------------------------------------------------------------------------------


@dataclass
class Walk:
    """What came out of one run."""

    cases: int = 0
    operations: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)
    excused: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, recorder: ScenarioRecorder) -> None:
        self.cases += len(recorder.interactions)
        self.excused += sum(recorder.filtered_failures.values())
        for identifier, interaction in recorder.interactions.items():
            node = recorder.cases[identifier]
            self.operations.add(node.value.operation.label)
            if node.transition is not None and node.is_transition_applied:
                self.links[node.transition.id] += 1
            self.statuses[interaction.response.status_code if interaction.response is not None else 0] += 1
            self.faults += _faults(recorder, identifier)


def _faults(recorder: ScenarioRecorder, identifier: str) -> Iterator[str]:
    for check in recorder.checks.get(identifier, ()):
        if check.failure_info is not None:
            failure = check.failure_info.failure
            answer = recorder.interactions[identifier].response
            said = answer.content[:500] if answer is not None else b""
            yield f"{check.name}: {failure.title}\n{failure.message}\n{check.failure_info.code_sample}\n{said!r}"


def walk(schema: BaseSchema, found: Walk) -> None:
    """Send everything, and look at all answers."""
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found.add(event.recorder)
        elif isinstance(event, events.NonFatalError):
            found.faults.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception


def described(
    document: Mapping[str, Any], url: str, headers: Mapping[str, str], phases: Mapping[str, Any], seed: int = SEED
) -> BaseSchema:
    """The description with which a run begins."""
    settings = {
        "seed": seed, "base-url": url, "headers": dict(headers), "continue-on-failure": True, "request-timeout": 60,
        "max-stream-events": 1, "phases": phases, "generation": {"deterministic": True, "no-shrink": True, "database": "none"},
        "checks": {
            "negative_data_rejection": {"expected-statuses": [*NEGATIVE, *REFUSED_FIRST]},
            "missing_required_header": {"expected-statuses": [*HEADERLESS, *REFUSED_FIRST]},
        },
    }  # fmt: skip
    schema = schemathesis.openapi.from_dict(dict(document), config=schemathesis.Config.from_dict(settings))
    schema.hook("filter_failure")(is_fault)
    return schema


CALLERS = [pytest.param(AUTHORIZED, id="admin"), pytest.param({}, id="anonymous")]


@pytest.mark.proves("R1")
@pytest.mark.parametrize("headers", CALLERS)
def test_every_answer_is_as_the_description_says(
    registry: httpx.Client, app: FastAPI, proof: Proof, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(app.state, "failures", Failures(10**9))  # one of the checks tries keys that are none, often
    who = "admin" if headers else "anonymous"
    inference: dict[str, Any] = {"algorithms": []}  # the links that are described, and no others
    phases = {
        "examples": {"enabled": proof.full},
        "coverage": {"enabled": proof.full and bool(headers)},  # every bound of every value: nearly all of the cases
        "fuzzing": {"generation": {"max-examples": proof.rounds(1, 15)}},
        "stateful": {"generation": {"max-examples": proof.rounds(2, 200)}, "inference": inference},
    }
    document, url, found = app.openapi(), str(registry.base_url).rstrip("/"), Walk()
    schema = described(document, url, headers, phases)
    walk(schema if proof.full else schema.exclude(path_regex=ALIKE), found)
    # Hypothesis ends its chains at the first that goes otherwise than it went before, as chains do in a registry that remembers
    # what was made: so they begin anew, elsewhere, until there are enough of them.
    chains = {phase: {"enabled": False} for phase in phases} | {"stateful": phases["stateful"]}
    for seed in range(SEED + 1, SEED + 1 + proof.rounds(0, SUITES[who])):
        walk(described(document, url, headers, chains, seed), found)
    assert not found.faults, "\n\n".join(found.faults[:40])
    assert registry.get("/readyz").status_code == 200
    proof.count(f"cases generated from the description, as {who}", found.cases, at_least=proof.rounds(40, CASES[who]))
    proof.count(f"operations asked, as {who}", len(found.operations), at_least=proof.rounds(20, OPERATIONS))
    proof.count(f"answers of 5xx, as {who}", sum(n for status, n in found.statuses.items() if status >= 500), at_most=0)
    proof.count(f"statuses and bodies that are not described, as {who}", len(found.faults), at_most=0)
    proof.count(f"kinds of links followed, as {who}", len(found.links), at_least=proof.rounds(0, LINKS[who]))
