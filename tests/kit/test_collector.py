"""The garbage collector rests while somebody asks for it, and looks as before when the last one is done."""

from __future__ import annotations

import gc

from app.kit.collector import SELDOM, resting


def test_it_rests_until_the_last_one_is_done() -> None:
    usual = gc.get_threshold()
    with resting():
        with resting():
            assert gc.get_threshold()[0] == SELDOM
        assert gc.get_threshold()[0] == SELDOM
    assert gc.get_threshold() == usual
