"""What docker-compose.yml says: as the specification has it, and what no schema sees."""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import subprocess
import sysconfig
from dataclasses import fields
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from compose_spec import PyCompose
from sqlalchemy.engine import make_url

from app.cli import _parser
from app.settings import FILE, HOME, Settings, variable
from tests.containers.compositions import APPS, composition, make_secrets, seconds, settings
from tests.containers.dockerfiles import Dockerfile

COMPOSITION = composition()
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("concord:")]
CADDYFILE = (HOME / "containers/Caddyfile").read_text()
DOCKERFILE = Dockerfile.read(HOME / "Dockerfile")
PORT = DOCKERFILE.last("EXPOSE").text

every_service = pytest.mark.parametrize("name", SERVICES)


def test_it_is_as_the_specification_has_it() -> None:
    assert sorted(PyCompose.from_yaml(yaml.safe_dump(COMPOSITION)).service_names()) == sorted(SERVICES)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("cap_drop", "cap_dropped"), ("service_healthy", "service_well"), ("retries: 5", "retries: few")],
)
def test_another_one_would_be_refused(right: str, wrong: str) -> None:
    text = yaml.safe_dump(COMPOSITION)
    assert right in text
    with pytest.raises(ValueError, match="services"):
        PyCompose.from_yaml(text.replace(right, wrong))


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one(name: str) -> None:
    known = {variable(row) for row in fields(Settings)}
    known |= {variable(row) + FILE for row in fields(Settings) if row.metadata["secret"]}
    assert set(settings(SERVICES[name])) <= known


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one(name: str) -> None:
    given = SERVICES[name].get("command", DOCKERFILE.last("CMD").arguments)
    assert _parser().parse_args(given)


@pytest.mark.parametrize("name", APPS)
def test_the_servers_leave_the_schema_and_the_seed_to_those_before(name: str) -> None:
    options = _parser().parse_args(SERVICES[name]["command"])
    assert options.no_migrate
    assert options.no_seed
    assert list(after(name)) == ["seed", "migrate", "postgres"]


def after(name: str) -> dict[str, str]:
    """What a service waits for, nearest first, and the condition."""
    found: dict[str, str] = {}
    for earlier, how in SERVICES[name].get("depends_on", {}).items():
        found |= {earlier: how["condition"]} | after(earlier)
    return found


@every_service
def test_what_is_waited_for_can_come(name: str) -> None:
    for earlier, condition in after(name).items():
        if condition == "service_healthy":
            assert "test" in SERVICES[earlier]["healthcheck"] or earlier in OURS
        else:
            assert condition == "service_completed_successfully"
            assert SERVICES[earlier]["restart"] == "no"


@every_service
def test_what_is_named_is_declared(name: str) -> None:
    service = SERVICES[name]
    for kind in ("networks", "secrets"):
        assert set(service.get(kind, ())) <= set(COMPOSITION[kind])
    for mount in service.get("volumes", ()):
        source = mount.partition(":")[0]
        assert (HOME / source).is_file() if source.startswith("./") else source in COMPOSITION["volumes"]


def test_nothing_is_declared_for_nobody() -> None:
    for kind in ("networks", "secrets"):
        assert {given for service in SERVICES.values() for given in service.get(kind, ())} == set(COMPOSITION[kind])
    mounts = {mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    assert {mount for mount in mounts if not mount.startswith("./")} == set(COMPOSITION["volumes"])


@every_service
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert "privileged" not in service
    assert service["restart"] == ("no" if name in ("migrate", "seed") else "unless-stopped")


@every_service
def test_every_image_has_a_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert image
    assert tag[0].isdigit()


def test_the_image_has_the_version_of_the_project() -> None:
    version = next(line for line in (HOME / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert {SERVICES[name]["image"] for name in OURS} == {f"concord:{version.split(chr(34))[1]}"}
    assert f"VERSION={version.split(chr(34))[1]}" in {argument.text for argument in DOCKERFILE.all("ARG")}


def test_the_database_is_the_one_that_is_tested(postgresql: str) -> None:
    with psycopg.connect(postgresql) as connection:
        major = connection.info.server_version // 10_000
    assert SERVICES["postgres"]["image"].startswith(f"postgres:{major}-")
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]  # from 18 on; before it was …/data


def test_the_proxy_is_the_one_that_is_tested() -> None:
    caddy = shutil.which("caddy", path=sysconfig.get_path("scripts"))
    assert caddy
    version = subprocess.run([caddy, "version"], capture_output=True, text=True, check=True).stdout
    assert version.removeprefix("v").rpartition(".")[0].startswith(SERVICES["proxy"]["image"][6:].partition("-")[0])


def test_the_proxy_asks_each_server_by_its_name() -> None:
    assert " ".join(f"{name}:{PORT}" for name in APPS) in CADDYFILE
    for name in APPS:
        assert "front" in SERVICES[name]["networks"]
    assert set(SERVICES["proxy"]["depends_on"]) == set(APPS)


def test_only_the_proxy_is_believed_when_it_says_for_whom_it_asks() -> None:
    address = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
    for name in APPS:
        assert settings(SERVICES[name])["CONCORD_TRUSTED_PROXIES"] == address


def test_nobody_else_is_ever_given_the_address_of_the_proxy() -> None:
    """Addresses are given out from the lowest on, and the servers are there before the proxy."""
    address = ipaddress.ip_address(SERVICES["proxy"]["networks"]["front"]["ipv4_address"])
    (given,) = COMPOSITION["networks"]["front"]["ipam"]["config"]
    subnet, others = ipaddress.ip_network(given["subnet"]), ipaddress.ip_network(given["ip_range"])
    assert isinstance(subnet, ipaddress.IPv4Network)
    assert isinstance(others, ipaddress.IPv4Network)
    assert address in subnet
    assert others.subnet_of(subnet)
    assert address not in others
    assert given["gateway"] not in (str(address), *map(str, others))


def test_an_image_is_built_once_whatever_is_started() -> None:
    builds = {name for name in OURS if "build" in SERVICES[name]}
    assert builds == {"migrate", "sqlite"}
    assert all(name == "migrate" or "migrate" in after(name) for name in OURS if name != "sqlite")


def test_the_database_is_reached_by_the_program_alone() -> None:
    on_back = {name for name, service in SERVICES.items() if "back" in service.get("networks", ())}
    assert on_back == {"postgres", "migrate", "seed", *APPS}
    assert COMPOSITION["networks"]["back"]["internal"] is True
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy", "sqlite"}


def test_nothing_is_published_beyond_the_machine_unless_asked() -> None:
    for name in ("proxy", "sqlite"):
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
    given = composition(PUBLISH_ON="0.0.0.0", PUBLISH_HTTP="80", PUBLISH_HTTPS="443")  # noqa: S104  # what is asked
    assert given["services"]["proxy"]["ports"] == ["0.0.0.0:80:80", "0.0.0.0:443:443"]


def test_sqlite_stands_alone() -> None:
    alone = {name for name, service in SERVICES.items() if "profiles" in service}
    assert alone == {"sqlite"}
    assert after("sqlite") == {}
    assert SERVICES["sqlite"]["volumes"] == [f"registry:{DOCKERFILE.last('WORKDIR').text}"]
    assert SERVICES["sqlite"]["ports"][0].endswith(f":{PORT}")


@pytest.mark.parametrize("name", OURS)
def test_a_container_is_given_longer_than_the_server_takes(name: str) -> None:
    grace = int(settings(SERVICES[name])["CONCORD_GRACE_SECONDS"])
    assert seconds(SERVICES[name]["stop_grace_period"]) >= grace + 5


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_the_script_makes_every_secret_that_is_read(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    assert {f"containers/secrets/{name}" for name in secrets} == {
        given["file"] for given in COMPOSITION["secrets"].values()
    }
    assert all(len(text) >= 43 for text in secrets.values())
    address = make_url(Settings.from_environment({"CONCORD_DATABASE_URL": secrets["database_url"]}).database_url)
    postgres = SERVICES["postgres"]["environment"]
    assert address.password == secrets["postgres_password"]
    assert (address.host, address.username, address.database) == (
        "postgres",
        postgres["POSTGRES_USER"],
        postgres["POSTGRES_DB"],
    )


def test_the_script_keeps_what_is_there_and_makes_others_elsewhere(tmp_path: Path) -> None:
    first = make_secrets(tmp_path / "secrets")
    (tmp_path / "secrets/admin_key").unlink()
    second = make_secrets(tmp_path / "secrets")
    assert first["database_url"] == second["database_url"]
    assert first["admin_key"] != second["admin_key"]
    assert not set(first.values()) & set(make_secrets(tmp_path / "others").values())


def test_the_secrets_are_read_in_the_containers_and_by_nobody_else_here(tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o444}
    assert os.access(HOME / "containers/secrets.sh", os.X_OK)
    assert "containers/secrets/" in (HOME / ".gitignore").read_text().splitlines()


def test_no_secret_is_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "KEY", "SECRET", "URL")):
                assert value.startswith("/run/secrets/")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
