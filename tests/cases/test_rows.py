"""R2: no row of the table of cases is without its tests. Here it is seen which tests stand for which row: those that bear its
id in their name (`test_a47_…`) or in that of their parameters (`id="A47-…"`), and these others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cases.test_sheets import READ, REFUSED_DATES
from tests.support.proofs import Proof

TESTS = Path(__file__).parent.parent
TABLE = TESTS.parent.parent / "shared" / "CASES.md"
"""Where it lies beside the checkout. It is no part of this project, and nothing here needs it."""
ROWS = [f"A{number:02}" for number in range(1, 66)]
ELSEWHERE = {
    "A17": ["v1/test_search.py::test_every_character_means_itself"],
    "A18": ["v1/test_search.py::test_every_character_means_itself"],
    "A23": ["v1/test_search.py::test_a_record_is_found_by_its_name_acronym_other_names_and_texts_without_case_and_marks",
            "v1/test_search.py::test_scripts_and_spellings_are_found_alike_on_both_databases"],
    "A24": ["contract/test_lists.py::test_following_next_yields_every_record_once_in_the_documented_order"],
    "A41": ["api/test_cors.py::test_every_answer_says_who_may_read_it_and_that_it_depends_on_who_asks",
            "api/test_cors.py::test_a_listed_site_may_write_with_its_key_and_any_other_may_read_at_most"],
    "A43": ["prove/test_starts.py::test_ten_processes_that_migrate_and_seed_at_once_make_one_schema_and_one_seed"],
    "A44": ["test_migrations.py::test_both_databases_have_the_same_constraints_and_indexes_under_the_same_names",
            "test_migrations.py::test_the_migrated_schema_is_the_models"],
    "A45": ["test_migrations.py::test_a_newer_database_is_refused_and_left_alone",
            "test_migrations.py::test_a_stamp_without_tables_is_refused"],
    "A46": ["kit/test_restart.py::test_a_restart_loses_no_acknowledged_write_and_service_comes_back_by_itself"],
    "A51": ["kit/test_outages.py::test_r9_a_database_that_hangs_is_answered_for_and_nothing_stays_behind"],
}  # fmt: skip
"""Tests whose names say what they are for better than the number of a row."""
_NAMED = re.compile(r"def test_(a\d\d)_|\bid=f?\"(A\d\d)\b|\[?\"(A\d\d)-")


def bearing(folder: Path) -> dict[str, set[str]]:
    """Which files below `folder` have tests that bear the id of a row."""
    found: dict[str, set[str]] = {}
    for file in sorted(folder.rglob("test_*.py")):
        for match in _NAMED.finditer(file.read_text(encoding="utf-8")):
            found.setdefault(next(filter(None, match.groups())).upper(), set()).add(str(file.relative_to(folder)))
    return found


@pytest.mark.proves("R2")
def test_every_row_has_its_tests(proof: Proof) -> None:
    found = bearing(TESTS)
    assert [row for row in ROWS if not found.get(row) and row not in ELSEWHERE] == []
    assert sorted(found) == sorted(set(found) & set(ROWS))
    proof.count(
        "rows of the table of cases with tests of their own", len(set(found) | set(ELSEWHERE)), at_least=len(ROWS)
    )


@pytest.mark.parametrize(("row", "test"), [(row, test) for row, tests in ELSEWHERE.items() for test in tests])
def test_a_test_that_is_named_for_a_row_is_there(row: str, test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


@pytest.mark.skipif(not TABLE.exists(), reason="the table of cases lies elsewhere")
def test_the_table_has_no_row_that_is_not_known_here() -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert re.findall(r"^\| (A\d\d) \|", text, re.MULTILINE) == ROWS
    (dates,) = re.findall(r"^Date strings [^:]*: (.*?)^Name strings", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", dates)) <= set(READ) | set(REFUSED_DATES)
