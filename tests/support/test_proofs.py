"""How proofs write down what came out."""

from __future__ import annotations

from pathlib import Path

from tests.support import proofs
from tests.support.proofs import Figure


def test_rows_of_proofs_that_did_not_run_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{proofs.BEGIN}\n{proofs.END}\nafter\n")
    proofs.write(page, [_figure("R10", 3.0), _figure("R4", 7)])
    proofs.write(page, [_figure("R4", 900, database="postgresql")])
    proofs.write(page, [_figure("R4", 12)])
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith(f"{proofs.END}\nafter\n")
    told = [line for line in text.splitlines() if line.startswith("| R")]
    assert [line.split(" | ")[:5] for line in told] == [
        ["| R4", "rounds", "12 s ✗", "900 s ✗", "≤ 8"],
        ["| R10", "rounds", "3 s", "", "≤ 8"],
    ]


def _figure(proves: str, value: float, database: str = "sqlite") -> Figure:
    return Figure(proves, "rounds", database, value, "s", 8, None)
