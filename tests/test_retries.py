"""A client that heard no answer sends its write again with the same Idempotency-Key: to another worker, or after a crash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import Server, authorized
from tests.support.answers import sequence, slugs
from tests.test_cli import served

HOME = "/v1/organizations"
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
HARBOUR = {"name": "Harbour office", "kind": "other"}
DYING = """
import os, sys, uvicorn
from app.main import create_app

app = create_app()

async def dying(scope, receive, send):
    async def last(message):
        if scope.get("method") == "POST":
            os._exit(9)
        await send(message)
    await app(scope, receive, last)

uvicorn.run(dying, port=int(sys.argv[2]), log_level="critical")
"""
"""The registry, in a process that is gone before it says the first byte of an answer to a POST."""


def post(client: httpx.Client) -> httpx.Response:
    return client.post(HOME, json=HARBOUR, headers=KEY)


def test_of_twenty_equal_requests_to_two_workers_one_is_done_and_all_have_its_answer(server: Server) -> None:
    with served(server.fresh("empty"), "--no-migrate", "--no-seed", "--workers", "2") as (_, client):
        port = client.base_url.port or 80

        def post_alone(_: int) -> httpx.Response:
            with authorized(port) as alone:  # a connection of its own, which either worker may take
                return post(alone)

        with ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(post_alone, range(20)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
        assert slugs(client, HOME) == ["harbour-office"]
        assert sequence(client) == '"s1"'


def test_a_write_whose_answer_was_lost_with_the_process_is_answered_when_it_is_sent_again(server: Server) -> None:
    url = server.fresh("empty")
    with served(url, program=("-c", DYING)) as (process, client):
        with pytest.raises(httpx.TransportError):
            post(client)
        assert process.wait(30) == 9
    with served(url, "--no-migrate", "--no-seed") as (_, client):
        stored = client.get(f"{HOME}/harbour-office")
        answer, again = post(client), post(client)
        assert (answer.status_code, answer.headers["idempotent-replayed"]) == (201, "true")
        assert answer.json() == stored.json()
        assert (again.content, again.headers["location"]) == (answer.content, f"{HOME}/harbour-office")
        assert sequence(client) == '"s1"'
