"""The guide is true: every request in it, sent in its order to the seeded registry, has the answer that it shows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.support.wire import AUTHORIZED

GUIDE = (Path(__file__).parent.parent / "docs/guide.md").read_text()
HERE = "http://127.0.0.1:8000"


class Request(NamedTuple):
    """A request as `curl` would send it."""

    verb: str
    path: str
    headers: dict[str, str]
    body: str | None
    follow: bool


def examples() -> Iterator[tuple[Request, str, str]]:
    """Each request of the guide, with the language and the text of its answer."""
    for command, kind, answer in re.findall(r"```sh\n(curl .*?)\n```\n```(json|text)\n(.*?)\n```", GUIDE, re.DOTALL):
        yield request_of(command), kind, answer


def request_of(command: str) -> Request:
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    verb, path, body, follow = "GET", "", None, False
    headers: dict[str, str] = {}
    for word in words:
        if word == "-X":
            verb = next(words)
        elif word == "-H":
            header = next(words)
            headers |= {"Authorization": header} if header.startswith("$") else dict([header.split(": ", 1)])
        elif word == "-d":
            body = next(words).strip("\n")
        elif word in ("-L", "-N", "-I"):
            follow, verb = follow or word == "-L", "HEAD" if word == "-I" else verb
        else:
            assert word.startswith(HERE), word
            path = word.removeprefix(HERE)
    return Request(verb, path, headers, body, follow)


def holds(shown: Any, actual: Any) -> bool:
    """Whether `actual` says what is shown: the keys that are shown, the lists as a whole."""
    if isinstance(shown, dict):
        return isinstance(actual, dict) and all(name in actual and holds(shown[name], actual[name]) for name in shown)
    if isinstance(shown, list):
        return isinstance(actual, list) and len(shown) == len(actual) and all(map(holds, shown, actual))
    return bool(shown == actual)


def test_every_request_has_an_answer_that_is_compared() -> None:
    assert GUIDE.count("\ncurl ") == len(list(examples())) > 30


def test_the_guide_is_true(registry: httpx.Client) -> None:
    with httpx.Client(base_url=registry.base_url, timeout=30) as reader:  # no key but where the guide sends it
        insist_on_answers(reader)


class Kept:
    """What the guide lets its reader keep for later: the keys as headers, by the role that they have, and the last proposal."""

    def __init__(self) -> None:
        self.values = {"$KEY": AUTHORIZED["Authorization"]}

    def keep(self, answer: Any) -> None:
        if isinstance(answer, dict) and "secret" in answer:
            self.values[f"${answer['role'].upper()}"] = f"Bearer {answer['secret']}"
        if isinstance(answer, dict) and "proposer" in answer:
            self.values["$PROPOSAL"] = answer["id"]

    def fill(self, request: Request) -> Request:
        path = request.path.replace("$PROPOSAL", self.values.get("$PROPOSAL", ""))
        headers = {
            name: self.values[value] if value.startswith("$") else value for name, value in request.headers.items()
        }
        return request._replace(path=path, headers=headers)


def insist_on_answers(client: httpx.Client) -> None:
    kept = Kept()
    for example, kind, shown in examples():
        request = kept.fill(example)
        with client.stream(
            request.verb, request.path, headers=request.headers, content=request.body, follow_redirects=request.follow
        ) as answer:
            about = f"{request.verb} {request.path}: {answer.status_code}"
            if kind == "json":
                actual = json.loads(answer.read())
                kept.keep(actual)
                expected = json.loads(shown)
                refusal = expected.get("status") if "errors" in expected else None
                assert answer.status_code == refusal or (refusal is None and answer.is_success), f"{about} {actual}"
                assert holds(expected, actual), f"{about} {json.dumps(actual)}"
            else:
                assert answer.status_code == 200, about
                head = (f"{name}: {value}" for name, value in sorted(answer.headers.items()))
                assert stands_in(shown.splitlines(), head if request.verb == "HEAD" else answer.iter_lines()), about


def stands_in(shown: list[str], lines: Iterator[str]) -> bool:
    """Whether the lines that are shown come in this order; a stream that never ends is read as far as they go."""
    seen = iter(lines)
    return all(any(wanted in line for line in seen) for wanted in shown)
