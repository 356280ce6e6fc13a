"""Limits: who is counted, what is left to whom, and that counting costs bounded memory."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest

from app.api import limits
from app.api.limits import Failures, Quota, RateLimit, Slots, caller
from app.kit.errors import Busy, TooMany
from app.settings import Settings
from tests.support.asgi import scope_of

FAR = "203.0.113.7"
SETTINGS = Settings()


class Watch:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


# --- a quota ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 7, 30, 60, 1200, 100_000])
def test_a_quota_can_be_used_at_once_to_its_last_event_and_not_beyond(watch: Watch, most: int) -> None:
    quota = Quota(most, clock=watch)
    left = [quota.count("a").left for _ in range(most)]
    assert left == list(range(most - 1, -1, -1))
    assert not quota.count("a").allowed
    assert quota.count("b").allowed


def test_it_comes_back_evenly_and_refusals_cost_nothing(watch: Watch) -> None:
    quota = Quota(6, clock=watch)
    for _ in range(6):
        quota.count("a")
    for _ in range(100):
        refused = quota.count("a")
        assert (refused.allowed, refused.left, refused.more_in) == (False, 0, 10)
    watch.now += 9.9
    assert not quota.count("a").allowed
    watch.now += 0.1
    assert quota.count("a").allowed
    assert not quota.count("a").allowed
    watch.now += 60
    assert [quota.count("a").allowed for _ in range(7)] == [True] * 6 + [False]


def test_who_waits_as_long_as_told_is_let_in(watch: Watch) -> None:
    quota = Quota(7, clock=watch)
    for _ in range(7):
        quota.count("a")
    for _ in range(20):
        watch.now += quota.look("a").more_in
        assert quota.count("a").allowed


def test_no_more_than_the_quota_and_what_comes_back_passes_in_any_time(watch: Watch) -> None:
    quota = Quota(60, clock=watch)
    passed = 0
    for _ in range(10_000):
        watch.now += 0.05
        passed += quota.count("a").allowed
    assert 60 + 500 - 1 <= passed <= 60 + 500


def test_callers_without_end_are_forgotten_the_oldest_first(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CALLERS", 10)
    quota = Quota(1, clock=watch)
    for n in range(100):
        assert quota.count(str(n)).allowed
    assert len(quota) == 10
    assert not quota.count("99").allowed
    assert quota.count("0").allowed


# --- who is counted --------------------------------------------------------------------------------------------------


def counted(limit: RateLimit, times: int, **request: Any) -> int:
    """How many of so many requests pass."""
    passed = 0
    for _ in range(times):
        try:
            limit.count(scope_of(**request))
            passed += 1
        except TooMany:
            pass
    return passed


def test_a_key_is_counted_by_its_hash_wherever_it_comes_from_and_is_not_kept() -> None:
    here = caller(scope_of(headers=[("Authorization", "Bearer secret")], client=FAR))
    there = caller(scope_of(headers=[("authorization", "bearer  secret ")], client="198.51.100.1"))
    assert here == there == hashlib.sha256(b"secret").hexdigest()
    for other in ("Basic secret", "Bearer", "Bearer ", "", "secret"):
        assert caller(scope_of(headers=[("Authorization", other)], client=FAR)) == FAR


def test_a_new_key_for_each_request_gains_nothing_and_a_known_one_has_its_own_quota(watch: Watch) -> None:
    limit = RateLimit(replace(SETTINGS, rate_limit=5), clock=watch)
    keys = [[("Authorization", f"Bearer {n}")] for n in range(20)]
    assert sum(counted(limit, 1, client=FAR, headers=key) for key in keys) == 5
    assert counted(limit, 20, client=FAR, headers=keys[0]) == 4
    assert counted(limit, 20, client="198.51.100.1", headers=keys[1]) == 4


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_is_counted_with_those_that_one_client_can_choose_from(address: str, counted_as: str) -> None:
    assert caller(scope_of(client=address)) == counted_as


def test_the_limit_that_is_set_holds_for_everyone_and_none_for_nobody(watch: Watch) -> None:
    for client in ("127.0.0.1", "10.0.0.5", FAR):
        assert counted(RateLimit(replace(SETTINGS, rate_limit=5), clock=watch), 20, client=client) == 5
        assert counted(RateLimit(replace(SETTINGS, rate_limit=0), clock=watch), 5000, client=client) == 5000


def test_by_itself_the_limit_leaves_this_machine_and_proxies_alone(watch: Watch) -> None:
    through = [("X-Forwarded-For", FAR)]
    assert counted(RateLimit(SETTINGS, clock=watch), 1300, client=FAR) == 1200
    for client in ("127.0.0.1", "::1", "127.0.0.2"):
        assert counted(RateLimit(SETTINGS, clock=watch), 1300, client=client) == 1300
    assert counted(RateLimit(SETTINGS, clock=watch), 1300, client="10.0.0.5") == 1200
    assert counted(RateLimit(SETTINGS, clock=watch), 1300, client="10.0.0.5", headers=through) == 1300
    proxied = replace(SETTINGS, trusted_proxies=("10.0.0.5",))
    assert counted(RateLimit(proxied, clock=watch), 1300, client=FAR) == 1300


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_a62_a_client_of_the_internet_cannot_pass_for_a_proxy(watch: Watch, name: str) -> None:
    limit, passed = RateLimit(SETTINGS, clock=watch), 0
    for n in range(1300):
        passed += counted(limit, 1, client=FAR, headers=[(name, f"198.51.100.{n % 250}")])
    assert passed == 1200


def test_an_answer_says_what_is_left_and_a_refusal_when_to_come_again(watch: Watch) -> None:
    limit = RateLimit(replace(SETTINGS, rate_limit=20), clock=watch)
    said = limit.count(scope_of(client=FAR))
    assert said == {"RateLimit-Policy": '"default";q=20;w=60', "RateLimit": '"default";r=19;t=3'}
    counted(limit, 19, client=FAR)
    with pytest.raises(TooMany) as caught:
        limit.count(scope_of(client=FAR))
    assert caught.value.extra["headers"] == {
        "Retry-After": "3", "RateLimit-Policy": '"default";q=20;w=60', "RateLimit": '"default";r=0;t=3',
    }  # fmt: skip
    assert limit.count(scope_of(client="127.0.0.1"))


# --- failures, and places --------------------------------------------------------------------------------------------


def test_an_address_that_fails_too_often_is_not_listened_to_for_a_while(watch: Watch) -> None:
    failures = Failures(3, clock=watch)
    for _ in range(3):
        failures.insist("2001:db8::1")
        failures.count("2001:db8::1")
    with pytest.raises(TooMany) as caught:
        failures.insist("2001:db8::ffff")
    assert re.fullmatch("[1-9][0-9]*", caught.value.extra["headers"]["Retry-After"])
    failures.insist("2001:db8:0:1::1")
    watch.now += 20
    failures.insist("2001:db8::1")


def test_asking_without_failing_costs_nothing(watch: Watch) -> None:
    failures = Failures(1, clock=watch)
    for _ in range(1000):
        failures.insist(FAR)


def test_a_place_is_free_again_when_it_was_given_back() -> None:
    slots = Slots(2, "Full.")
    slots.take()
    slots.take()
    with pytest.raises(Busy, match="Full"):
        slots.take()
    slots.give_back()
    slots.take()
    assert slots.taken == 2
