"""R21: what can be told of security without running anything: no secret lies in the tree, and what is installed is not older
than the version in which a known fault was mended.

No advisories are looked up, since that takes a network; the list below is kept by hand. That nothing dangerous is called is
seen by `make lint`: the rules `S` of ruff are those of bandit.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support.proofs import Proof

HOME = Path(__file__).parent.parent

MENDED = {
    "anyio": ("4.4.0", "a race in the event loop's threads could crash a worker"),
    "cryptography": ("44.0.1", "CVE-2024-12797: the OpenSSL in its wheels let unknown servers pass"),
    "h11": ("0.16.0", "CVE-2025-43859: chunked bodies that two servers read differently"),
    "idna": ("3.7", "CVE-2024-3651: quadratic time for long names"),
    "mako": ("1.2.2", "CVE-2022-40023: a pattern with exponential time"),
    "pydantic": ("2.4.0", "CVE-2024-3772: a pattern with quadratic time"),
    "pyjwt": ("2.10.1", "CVE-2024-53861: a part of the issuer's name was enough"),
    "starlette": (
        "1.3.1",
        "CVE-2026-54283: limits of forms; CVE-2025-62727: quadratic Range; CVE-2023-29159: files next door",
    ),
    "tqdm": ("4.66.3", "CVE-2024-34062: arguments of its command were run as code"),
    "uvicorn": ("0.11.7", "CVE-2020-7694 and 7695: forged log lines, split answers"),
}
"""Of what the server runs on: the first version in which all that we know of is mended, and what that was."""


def locked(file: str) -> dict[str, Version]:
    """What a lock file pins."""
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", (HOME / file).read_text(encoding="utf-8"), re.MULTILINE)
    return {name.lower(): Version(version) for name, version in pins}


@pytest.mark.parametrize(("name", "mended"), MENDED.items(), ids=MENDED)
def test_nothing_is_older_than_the_version_in_which_a_known_fault_was_mended(
    name: str, mended: tuple[str, str]
) -> None:
    least, why = mended
    for where, version in (
        ("requirements.lock", locked("requirements.lock")[name]),
        ("here", Version(metadata.version(name))),
    ):
        assert version >= Version(least), f"{name} {version} ({where}): {why}"


SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    "a key of ours": r"\bconcord_[A-Za-z0-9_-]{43}\b",
    "a key of a cloud": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{35}\b",
    "a token of a forge": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bglpat-[A-Za-z0-9_-]{20}\b|\bgithub_pat_\w{22,}",
    "a token of an index of packages": r"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgEI\w{40,}",
    "a token of a service": r"\bxox[abprs]-[A-Za-z0-9-]{10,}|\b[sr]k_live_[A-Za-z0-9]{16,}",
    "a signed token": r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "a password in an address": r"\w+://[\w.-]+:(?!\$|\{|<|%)[^@\s/\"'`]{3,}@",
}
"""What secrets look like."""
SHOWN = re.compile(r"secret|password|pass|guess|hunter2|hidden|example|ledger|//u(ser)?:p", re.IGNORECASE)
"""Words that no real password would be: those of examples and tests."""
BINARY = frozenset((".png", ".woff2", ".ico", ".db", ".xlsx", ".gz"))


def tracked() -> Iterator[Path]:
    """The files of the tree that are under version control."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=HOME, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (HOME / name).is_file() and Path(name).suffix not in BINARY:
            yield HOME / name


@pytest.mark.proves("R21")
@pytest.mark.skipif(shutil.which("git") is None or not (HOME / ".git").exists(), reason="not a checkout")
def test_no_secret_lies_in_the_tree(proof: Proof) -> None:
    files = list(tracked())
    found = [
        f"{file.relative_to(HOME)}: {kind}: {match[0][:12]}…"
        for file in files
        for kind, pattern in SECRETS.items()
        for match in re.finditer(pattern, file.read_text(encoding="utf-8", errors="replace"))
        if not SHOWN.search(match[0])
    ]
    assert found == []
    proof.count("files looked through for secrets", len(files), at_least=100)
    proof.count("secrets found in them", len(found), at_most=0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a private key", "-----BEGIN EC " + "PRIVATE KEY-----\n" + "A" * 64),
        ("a key of ours", "concord_" + "aB3-_" * 8 + "xyz"),
        ("a key of a cloud", "AKIA" + "Q7" * 8),
        ("a token of a forge", "ghp_" + "a1B2" * 9),
        ("a token of an index of packages", "npm_" + "a1B2" * 9),
        ("a token of a service", "xoxb-" + "1234567890-abcdef"),
        ("a signed token", ".".join(("eyJ" + "a" * 20, "eyJ" + "b" * 20, "c" * 20))),
        ("a password in an address", "postgresql://concord:" + "tr0ub4dor@db/concord"),
    ],
)
def test_a_secret_would_be_found(kind: str, text: str) -> None:
    assert re.search(SECRETS[kind], text)
    assert not SHOWN.search(text)
