"""Milestones: events of something, dated as far as anybody says."""

from __future__ import annotations

import httpx
import pytest

from tests.support.answers import nothing_written, problem
from tests.support.builders import collaboration, instrument, milestone, organization, patch

SUBJECTS = {"collaboration": collaboration, "instrument": instrument, "organization": organization}
ANY = {"If-Match": "*"}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_any_one_subject_is_enough_and_the_last_one_stays(client: httpx.Client, subject: str) -> None:
    record = milestone(client, **{subject: SUBJECTS[subject](client)["slug"]})
    assert [name for name in SUBJECTS if record[name] is not None] == [subject]
    with nothing_written(client):
        refused = client.patch(milestone.at(record), json={subject: None}, headers=ANY)
        assert [fault["code"] for fault in problem(client, refused, 422)["errors"]] == ["no_subject"]
    others = {name: build(client)["slug"] for name, build in SUBJECTS.items() if name != subject}
    assert patch(client, milestone, record, **others, **{subject: None})[subject] is None


def test_a_milestone_of_nothing_is_refused(client: httpx.Client) -> None:
    draft = milestone.draft(client, organization=None)
    with nothing_written(client):
        refused = client.post(milestone.path, json=draft)
        assert [fault["code"] for fault in problem(client, refused, 422)["errors"]] == ["no_subject"]


@pytest.mark.parametrize("status", ["planned", "met", "partially_met", "not_met", "cancelled"])
def test_no_status_asks_for_a_date(client: httpx.Client, status: str) -> None:
    record = milestone(client, status=status)
    assert (record["status"], record["date"], record["due"]) == (status, None, None)


@pytest.mark.parametrize(
    "date", ["2014", "2014-12", "2014-12-04", "1999/..", "1999/", "2011?", "2011~", "201X", "2014-21"]
)
def test_a_date_is_kept_as_it_was_given(client: httpx.Client, date: str) -> None:
    record = milestone(client, date=date, due=date)
    assert (record["date"], record["due"]) == (date, date)
    assert client.get(milestone.at(record)).json() == record


@pytest.mark.parametrize("date", ["", "2018-00-00", "2018-13", "2023-02-29", "soon", "Q3 2018", "2016/2014", 2014])
def test_a_text_that_is_no_date_is_refused_with_a_word_of_help(client: httpx.Client, date: str | int) -> None:
    draft = milestone.draft(client) | {"date": date}
    with nothing_written(client):
        (fault,) = problem(client, client.post(milestone.path, json=draft), 422)["errors"]
    assert fault["pointer"] == "/date"
    assert fault["message"]
