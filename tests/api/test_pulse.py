"""The pulse: all who wait are told, what they ask alike is asked once, and nobody else waits for them."""

from __future__ import annotations

import asyncio

import pytest

from app.api import pulse
from app.api.pulse import TOLD_AT_ONCE, Move, Pulse
from app.kit.errors import Unavailable


class Question:
    """Something that many ask, and how often it was asked in fact."""

    def __init__(self, *answers: int | Unavailable) -> None:
        self.asked = 0
        self._answers = answers

    async def __call__(self) -> int:
        answer = self._answers[self.asked]
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer


def test_what_many_ask_before_a_move_is_asked_once() -> None:
    async def run() -> None:
        move, question, other = Move(), Question(1), Question(2)
        told = await asyncio.gather(*(move.once("changes", question) for _ in range(100)), move.once("others", other))
        assert told == [1] * 100 + [2]
        assert await move.once("changes", question) == 1
        assert (question.asked, other.asked) == (1, 1)

    asyncio.run(run())


def test_a_failure_is_shared_for_a_moment_and_then_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.02)

    async def run() -> None:
        move, question = Move(), Question(Unavailable("away"), 7)
        failed = await asyncio.gather(*(move.once("changes", question) for _ in range(10)), return_exceptions=True)
        assert [str(each) for each in failed] == ["away"] * 10
        with pytest.raises(Unavailable):
            await move.once("changes", question)
        await asyncio.sleep(0.05)
        assert await move.once("changes", question) == 7
        assert question.asked == 2

    asyncio.run(run())


def test_who_leaves_takes_the_answer_from_nobody() -> None:
    async def run() -> None:
        move, question = Move(), Question(1)
        first, second = (asyncio.create_task(move.once("changes", question)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 1

    asyncio.run(run())


def test_only_a_few_answers_are_kept() -> None:
    async def run() -> None:
        move, question = Move(), Question(*range(2 * pulse.MOST_ANSWERS + 1))
        for number in range(2 * pulse.MOST_ANSWERS):
            assert await move.once(number, question) == number
        assert await move.once(2 * pulse.MOST_ANSWERS - 1, question) == 2 * pulse.MOST_ANSWERS - 1
        assert await move.once(0, question) == 2 * pulse.MOST_ANSWERS, "forgotten, so asked anew"

    asyncio.run(run())


def test_all_who_wait_are_told_and_others_have_their_turns_in_between() -> None:
    async def run() -> None:
        move, turns = Move(), 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        waiting = [asyncio.create_task(move.wait(60)) for _ in range(10 * TOLD_AT_ONCE)]
        other = asyncio.create_task(count())
        await asyncio.sleep(0)
        await move.tell()
        assert turns >= 10
        other.cancel()
        assert all(await asyncio.gather(*waiting))
        assert await move.wait(60), "also who comes when it is over"

    asyncio.run(run())


def test_who_has_waited_in_vain_says_so_and_leaves_nothing_behind() -> None:
    async def run() -> None:
        move = Move()
        assert await asyncio.gather(*(move.wait(0.001) for _ in range(100))) == [False] * 100
        assert not move._waiting

    asyncio.run(run())


def test_no_move_is_missed_between_two_reads() -> None:
    """Who takes the next move, reads, and waits for it hears of whatever came after the read."""

    async def run() -> None:
        now = 0

        async def look() -> int:
            return now

        there = Pulse(look, beat=0.001)

        async def follow() -> None:
            async with there.listening():
                while (move := there.next_move) and await move.once("now", look) < 50:
                    assert await move.wait(30)  # behind the last there is none

        following = [asyncio.create_task(follow()) for _ in range(3)]
        while now < 50:
            now += 1
            await asyncio.sleep(0.0005)
        await asyncio.wait_for(asyncio.gather(*following), 60)

    asyncio.run(run())


def test_a_stop_wakes_all_at_once_also_those_who_are_just_being_told() -> None:
    async def run() -> None:
        async def look() -> int:
            return 1

        there = Pulse(look, beat=60)
        async with there.listening():
            waiting = [asyncio.create_task(there.next_move.wait(60)) for _ in range(10 * TOLD_AT_ONCE)]
            await asyncio.sleep(0)
            there.stop()
            await asyncio.wait_for(asyncio.gather(*waiting), 5)
        with pytest.raises(Unavailable):
            there.insist_on_room()

    asyncio.run(run())
