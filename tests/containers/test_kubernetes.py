"""The manifests: as the schemas of Kubernetes have them, as kustomize puts them together, and what neither sees."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from app.cli import _parser
from app.settings import FILE, HOME, Settings, variable
from tests.containers.dockerfiles import Dockerfile

FOLDER = HOME / "kubernetes"
BASE, EXAMPLE = FOLDER / "base", FOLDER / "overlays/example"
VERSIONS = ["1.34", "1.37"]
"""The oldest whose `preStop.sleep` needs no switch, and the newest that there are schemas of."""
DOCKERFILE = Dockerfile.read(HOME / "Dockerfile")
RENDERERS = [command for command in (["kustomize", "build"], ["kubectl", "kustomize"]) if shutil.which(command[0])]

Manifest = dict[str, Any]


def read(path: Path) -> Manifest:
    found: Manifest = yaml.safe_load(path.read_text())
    return found


def manifests(folder: Path) -> dict[str, Manifest]:
    """By kind, what a kustomization and those that it builds on are made of."""
    found: dict[str, Manifest] = {}
    for resource in read(folder / "kustomization.yaml")["resources"]:
        if (folder / resource).is_dir():
            found |= manifests(folder / resource)
        else:
            manifest = read(folder / resource)
            found[manifest["kind"]] = manifest
    return found


ALL = manifests(EXAMPLE)
DEPLOYMENT, JOB = ALL["Deployment"]["spec"], ALL["Job"]["spec"]
PODS = {"Deployment": DEPLOYMENT["template"], "Job": JOB["template"]}
SERVER = DEPLOYMENT["template"]["spec"]["containers"][0]
CONTAINERS = {
    container["name"]: container
    for pod in PODS.values()
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
}

every_pod = pytest.mark.parametrize("kind", PODS)
every_container = pytest.mark.parametrize("name", CONTAINERS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ALL)
def test_every_manifest_is_as_its_schema_has_it(kind: str, version: str) -> None:
    kubernetes_validate.validate(ALL[kind], version, strict=True)


def test_another_one_would_be_refused() -> None:
    mistyped = {**ALL["Service"], "spec": {**ALL["Service"]["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(mistyped, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_every_file_has_its_place_in_a_kustomization(folder: Path) -> None:
    said = read(folder / "kustomization.yaml")
    named = [*said["resources"], *(patch["path"] for patch in said.get("patches", ()))]
    assert all((folder / name).exists() for name in named)
    assert {path.name for path in folder.glob("*.yaml")} == {name for name in named if "/" not in name} | {
        "kustomization.yaml"
    }


def test_what_is_patched_is_there() -> None:
    said = read(EXAMPLE / "kustomization.yaml")
    for patch in said["patches"]:
        target = read(EXAMPLE / patch["path"])
        assert ALL[target["kind"]]["metadata"]["name"] == target["metadata"]["name"]
    assert {image["name"] for image in said["images"]} == {container["image"] for container in CONTAINERS.values()}
    base = {made["name"] for made in read(BASE / "kustomization.yaml")["configMapGenerator"]}
    assert {made["name"] for made in said["configMapGenerator"]} <= base


@pytest.mark.skipif(not RENDERERS, reason="kustomize puts them together where it is, or kubectl: neither is here")
@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_kustomize_puts_them_together(folder: Path) -> None:
    done = subprocess.run([*RENDERERS[0], str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rendered: dict[str, Manifest] = {made["kind"]: made for made in yaml.safe_load_all(done.stdout)}
    for made in rendered.values():
        kubernetes_validate.validate(made, VERSIONS[-1], strict=True)
    labels = rendered["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in selectors(rendered):
        assert selector.items() <= labels.items()
    (source,) = rendered["Deployment"]["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    assert source["configMapRef"]["name"] == rendered["ConfigMap"]["metadata"]["name"]
    assert set(rendered["ConfigMap"]["data"]) <= known()
    if folder is EXAMPLE:
        assert rendered["Deployment"]["spec"]["replicas"] == 3
        assert {made["metadata"].get("namespace", "concord") for made in rendered.values()} == {"concord"}
        images = {container["image"] for _, container in containers(rendered)}
        assert images == {"images.example.org/concord:0.1.0"}


def containers(made: Mapping[str, Manifest]) -> Iterator[tuple[str, Manifest]]:
    for kind in ("Deployment", "Job"):
        pod = made[kind]["spec"]["template"]["spec"]
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield kind, container


def selectors(made: Mapping[str, Manifest]) -> list[dict[str, str]]:
    """Whom the service, the budget, the deployment, the rule of the network mean."""
    return [
        made["Service"]["spec"]["selector"],
        made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        made["Deployment"]["spec"]["selector"]["matchLabels"],
        made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]


def test_the_servers_are_those_who_are_meant() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    for selector in selectors(ALL)[:3]:
        assert selector == labels
    assert JOB["template"]["metadata"]["labels"] != labels


# --- settings, commands, health ---------------------------------------------------------------------------------------


def known() -> set[str]:
    secrets = {variable(row) + FILE for row in fields(Settings) if row.metadata["secret"]}
    return secrets | {variable(row) for row in fields(Settings)}


def given() -> dict[str, str]:
    """The settings of the base and of the example."""
    made = [one for folder in (BASE, EXAMPLE) for one in read(folder / "kustomization.yaml")["configMapGenerator"]]
    return dict(literal.split("=", 1) for one in made for literal in one["literals"])


def test_every_setting_is_one() -> None:
    assert set(given()) <= known()


def test_no_secret_is_here_and_every_file_of_one_is_mounted() -> None:
    assert "Secret" not in ALL
    mounted = {mount["mountPath"] for mount in SERVER["volumeMounts"]}
    for name, value in given().items():
        if name.endswith(FILE):
            assert value.rpartition("/")[0] in mounted
    assert not [name for name in given() if name + FILE in known()]


@every_container
def test_every_command_is_one(name: str) -> None:
    container = CONTAINERS[name]
    assert "command" not in container  # the image's entry point
    assert _parser().parse_args(container["args"])


def test_the_schema_comes_before_the_seed_and_the_servers_wait_for_neither() -> None:
    pod = JOB["template"]["spec"]
    assert [one["args"] for one in (*pod["initContainers"], *pod["containers"])] == [["migrate"], ["seed"]]
    options = _parser().parse_args(SERVER["args"])
    assert options.no_migrate
    assert options.no_seed


def test_the_port_is_the_images() -> None:
    (port,) = SERVER["ports"]
    assert str(port["containerPort"]) == DOCKERFILE.last("EXPOSE").text
    assert ALL["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert ALL["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    backend = ALL["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {
        "name": ALL["Service"]["metadata"]["name"],
        "port": {"name": ALL["Service"]["spec"]["ports"][0]["name"]},
    }


def test_the_probes_ask_what_there_is(registry: httpx.Client) -> None:
    asked = {probe: SERVER[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    for path in asked.values():
        assert registry.get(path).status_code == 200


def test_a_pod_is_given_longer_than_the_server_takes() -> None:
    pause = SERVER["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = int(given()["CONCORD_GRACE_SECONDS"])
    assert DEPLOYMENT["template"]["spec"]["terminationGracePeriodSeconds"] >= pause + grace + 5


def test_one_server_is_always_there() -> None:
    assert DEPLOYMENT["replicas"] > ALL["PodDisruptionBudget"]["spec"]["minAvailable"] > 0
    assert DEPLOYMENT["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


# --- confinement: what the namespace's level "restricted" asks, and more ----------------------------------------------


@every_pod
def test_every_pod_is_confined(kind: str) -> None:
    pod = PODS[kind]["spec"]
    user = int(DOCKERFILE.last("USER").text.partition(":")[0])
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert pod["automountServiceAccountToken"] is False


@every_pod
def test_no_variable_of_a_service_is_mistaken_for_a_setting(kind: str) -> None:
    """A Service named concord makes CONCORD_SERVICE_HOST in every pod, unless told not to; an unknown setting is refused."""
    assert PODS[kind]["spec"]["enableServiceLinks"] is False
    with pytest.raises(ValueError, match="CONCORD_SERVICE_HOST is not a setting"):
        Settings.from_environment({"CONCORD_SERVICE_HOST": "10.0.0.1"})


@every_container
def test_every_container_is_confined(name: str) -> None:
    container = CONTAINERS[name]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/run/secrets/concord", "/tmp"}  # noqa: S108


@every_pod
def test_every_mount_has_its_volume(kind: str) -> None:
    pod = PODS[kind]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
