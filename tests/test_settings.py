"""What an operator may set, and how a mistake is answered."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from app.auth import jwks
from app.auth.policy import Role
from app.cli import main
from app.settings import HOME, MIGRATIONS, SEED, SIGNATURES, Settings, flag, text, whole
from app.settings import default as shown

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
NUMBERS = [name for name, field in FIELDS.items() if field.metadata["reader"] is whole]
FLAGS = [name for name, field in FIELDS.items() if field.metadata["reader"] is flag]
SECRETS = [name for name, field in FIELDS.items() if field.metadata["secret"]]
HIDDEN = "hidden-7f3a-0123456789-0123456789-abc"
TEXTS = [name for name, field in FIELDS.items() if field.metadata["reader"] is text]


def variable(name: str) -> str:
    return f"CONCORD_{name.upper()}"


def test_nothing_has_to_be_set() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings().database_url == "sqlite:///concord.db"


@pytest.mark.parametrize("name", [*NUMBERS, *FLAGS, *TEXTS, "root_path"])
def test_each_setting_is_read_from_its_variable(name: str) -> None:
    value: Any = 3 if name in NUMBERS else not FIELDS[name].default if name in FLAGS else "/given as it is "
    read = Settings.from_environment({variable(name): str(value).lower() if name in FLAGS else str(value)})
    assert read == dataclasses.replace(Settings(), **{name: value})


def test_variables_of_others_are_none_of_our_business() -> None:
    given = {
        "PATH": "/bin",
        "DATABASE_URL": "x",
        "POOL_SIZE": "many",
        "MY_CONCORD_POOL_SIZE": "many",
        "CONCORDANCE": "1",
    }
    assert Settings.from_environment(given) == Settings()


@pytest.mark.parametrize("name", ["CONCORD_TYPO", "CONCORD_", "CONCORD_pool_size", "CONCORD_DATABASE_URL_"])
def test_a_mistyped_variable_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not a setting") as caught:
        Settings.from_environment({name: "1"})
    for known in FIELDS:
        assert variable(known) in str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["", "0", "000", "-1", "+1", "1.0", "1e3", "1_000", " 1", "0x10", "٣", "²", "many"])
def test_a_number_is_a_whole_one_above_zero(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"{variable(name)} must be a whole number above zero"):
        Settings.from_environment({variable(name): text})


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_true_or_false_and_nothing_else(name: str) -> None:
    for given, value in (("true", True), ("false", False)):
        assert getattr(Settings.from_environment({variable(name): given}), name) is value
    for given in ("", "1", "0", "yes", "True", " true"):
        with pytest.raises(ValueError, match=f"{variable(name)} must be true or false, not {given!r}"):
            Settings.from_environment({variable(name): given})


@pytest.mark.parametrize(
    ("name", "words"), [("log_format", ("text", "json")), ("log_level", ("debug", "info", "warning", "error"))]
)
def test_a_word_is_one_of_those_that_there_are(name: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert getattr(Settings.from_environment({variable(name): word}), name) == word
    for word in ("", "xml", words[0].upper(), f" {words[0]}"):
        with pytest.raises(ValueError, match=f"{variable(name)} must be one of {', '.join(words)}, not {word!r}"):
            Settings.from_environment({variable(name): word})


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_given_as_a_file_and_is_never_shown(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(HIDDEN + "\n")
    read = Settings.from_environment({variable(name) + "_FILE": str(secret)})
    assert getattr(read, name) == HIDDEN
    assert "hidden" not in repr(read)
    with pytest.raises(ValueError, match="twice"):
        Settings.from_environment({variable(name) + "_FILE": str(secret), variable(name): HIDDEN})


@pytest.mark.parametrize("name", SECRETS)
def test_a_secrets_file_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(ValueError, match=f"{variable(name)}_FILE: the file cannot be read"):
        Settings.from_environment({variable(name) + "_FILE": "/no/such/file"})


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("rate_limit", "auto", "auto"),
        ("rate_limit", "0", 0),
        ("rate_limit", "600", 600),
        (
            "cors_origins",
            "https://example.org, http://localhost:8080,*",
            ("https://example.org", "http://localhost:8080", "*"),
        ),
        ("cors_origins", "", ()),
        (
            "trusted_hosts",
            "Registry.example.org,*.example.net,[::1]",
            ("registry.example.org", "*.example.net", "[::1]"),
        ),
        ("trusted_proxies", "10.0.0.7,192.168.0.0/16,fd00::/8", ("10.0.0.7", "192.168.0.0/16", "fd00::/8")),
    ],
)
def test_limits_and_lists_are_read_as_they_are_written(name: str, given: str, read: object) -> None:
    assert getattr(Settings.from_environment({variable(name): given}), name) == read


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("rate_limit", text) for text in ("", "-1", "1.5", "many", "AUTO", "²")),
        *(("cors_origins", text) for text in ("example.org", "https://example.org/", "https://*.example.org", "null",
                                              "https://user@example.org", "https://exämple.org")),
        *(("trusted_hosts", text) for text in ("*", "https://example.org", "example.org:8000", "a b", "*.", "exämple.org")),
        *(("trusted_proxies", text) for text in ("*", "localhost", "10.0.0.7/8", "300.0.0.1", "10.0.0.0/33")),
    ],
)  # fmt: skip
def test_a_limit_or_a_list_that_cannot_be_read_is_refused(name: str, given: str) -> None:
    with pytest.raises(ValueError, match=variable(name)):
        Settings.from_environment({variable(name): given})


def test_only_secrets_are_read_from_files() -> None:
    with pytest.raises(ValueError, match="CONCORD_POOL_SIZE_FILE is not a setting"):
        Settings.from_environment({"CONCORD_POOL_SIZE_FILE": "/dev/null"})


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("given", ["", "1", "yes", "True", "on", " true"])
def test_a_flag_is_true_or_false(name: str, given: str) -> None:
    with pytest.raises(ValueError, match=f"{variable(name)} must be true or false"):
        Settings.from_environment({variable(name): given})


@pytest.mark.parametrize("given", ["", "short", "x" * 31, "x" * 501, "x" * 40 + " ", "é" * 40])
def test_the_first_key_cannot_be_guessed_and_its_refusal_does_not_repeat_it(given: str) -> None:
    with pytest.raises(ValueError, match="32 to 500 visible") as caught:
        Settings.from_environment({"CONCORD_ADMIN_KEY": given})
    assert given not in str(caught.value) or not given


@pytest.mark.parametrize("name", FIELDS)
def test_a_default_is_what_it_says(name: str) -> None:
    """Set to what the documents show as its default, a setting is as if it were not set."""
    if (written := shown(FIELDS[name])) or name not in SECRETS:
        assert Settings.from_environment({variable(name): written}) == Settings()


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("oidc_issuer", "https://id.example.org", "https://id.example.org"),
        ("oidc_issuer", "https://id.example.org:8443/realms/one/", "https://id.example.org:8443/realms/one/"),
        ("oidc_issuer", "http://127.0.0.1:9000/realm", "http://127.0.0.1:9000/realm"),
        ("oidc_issuer", "http://[::1]", "http://[::1]"),
        ("oidc_algorithms", "ES256, PS256", ("ES256", "PS256")),
        ("oidc_roles", "a:admin, urn:b c:editor,*:reader",
         (("a", Role.admin), ("urn:b c", Role.editor), ("*", Role.reader))),
    ],
)  # fmt: skip
def test_single_sign_on_is_read_as_it_is_written(name: str, given: str, read: object) -> None:
    beside = {"CONCORD_OIDC_AUDIENCE": "registry", "CONCORD_OIDC_ROLES": "x:reader"}
    assert getattr(Settings.from_environment(beside | {variable(name): given}), name) == read


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("oidc_issuer", text) for text in ("id.example.org", "http://id.example.org", "http://127.0.0.1.example.org",
                                             "http://127.0.0.1@example.org", "https://user:pass@example.org", "https://",
                                             "https://example.org/?a=b", "https://example.org/#a", "file:///etc/passwd",
                                             "https://example.org/ a", "http://localhost:x/")),
        *(("oidc_algorithms", text) for text in ("", "none", "HS256", "RS256,HS512", "rs256", "ES256K")),
        *(("oidc_roles", text) for text in ("admins", "admins:", ":admin", "admins:owner", "a:admin,b", "a:Admin",
                                            "a:admin,a:reader")),
    ],
)  # fmt: skip
def test_single_sign_on_that_anybody_could_forge_or_nobody_could_use_is_refused(name: str, given: str) -> None:
    with pytest.raises(ValueError, match=variable(name)):
        Settings.from_environment({variable(name): given})


@pytest.mark.parametrize("missing", ["CONCORD_OIDC_AUDIENCE", "CONCORD_OIDC_ROLES"])
def test_an_issuer_without_audience_or_roles_is_refused(missing: str) -> None:
    given = {
        "CONCORD_OIDC_ISSUER": "https://id.example.org",
        "CONCORD_OIDC_AUDIENCE": "registry",
        "CONCORD_OIDC_ROLES": "a:admin",
    }
    Settings.from_environment(given)
    with pytest.raises(ValueError, match=f"CONCORD_OIDC_ISSUER needs {missing}"):
        Settings.from_environment(given | {missing: ""})


def test_every_signature_that_may_be_set_can_be_checked() -> None:
    assert set(SIGNATURES) == set(jwks.FITS)


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().pool_size = 1  # type: ignore[misc]


def test_the_table_in_the_documents_is_the_one_that_the_program_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    printed = capsys.readouterr().out
    assert printed in (HOME / "docs/settings.md").read_text()
    rows = {line.split(" | ")[0]: line for line in printed.splitlines()}
    assert len(rows) == len(FIELDS) + 2
    for name, field in FIELDS.items():
        row = rows[f"| `{variable(name)}`"]
        assert row.endswith(f"| {field.metadata['about']}{' (secret)' if name in SECRETS else ''} |")
        assert row.split(" | ")[1].strip("`") == (shown(field) or "none")


def test_the_seed_and_the_migrations_are_found_from_any_folder() -> None:
    assert SEED.is_absolute()
    assert (SEED / "organizations.jsonl").is_file()
    assert (MIGRATIONS / "env.py").is_file()
