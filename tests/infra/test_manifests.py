"""The files for containers, clusters and monitoring: by the tools' own schemas, and in agreement with each other."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from compose_spec import ComposeSpecification, PyCompose

from flows.cli import cli
from infra.services.definitions import POOL
from tasks.metrics import COUNTERS

PROJECT = Path(__file__).resolve().parents[2]
INFRA = PROJECT / "infra"
IMAGE = "ssat:0.1.0"
# Fields of KubeRay 1.5.1; what is inside a pod template is checked by Kubernetes' own schema.
CLUSTER = {
    "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs"
}  # fmt: skip
HEAD_GROUP = {"rayStartParams", "template"}
WORKER_GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
JOB = {"entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"}


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((INFRA / name).read_text())


def locked(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def ray_schema() -> dict[str, Any]:
    import ray.autoscaler

    return json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())


def clusters() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((INFRA / "kuberay").glob("*.yaml")):
        specification = yaml.safe_load(file.read_text())["spec"]
        yield file.name, specification.get("rayClusterSpec", specification)


def pods(cluster: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        template = group["template"]
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", **template["metadata"]},
            "spec": template["spec"],
        }


def filled(content: dict[str, Any]) -> str:
    """The file with its variables filled in, as Compose does before it reads it."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", yaml.safe_dump(content, width=1000))
    return re.sub(r"\$\{\w+(:\?[^}]*)?\}", "secret", text)


def environment(service: dict[str, Any]) -> dict[str, str]:
    return service.get("environment", {})


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_keep_to_the_specification(name: str) -> None:
    content = load(name)
    ComposeSpecification.model_validate(content)
    PyCompose.from_yaml(filled(content)).validate()
    broken = copy.deepcopy(content)
    broken["services"]["ray-worker"]["shm-size"] = "2gb"
    with pytest.raises(ValueError, match="shm-size"):
        PyCompose.from_yaml(filled(broken))


def test_compose_names_only_what_it_has() -> None:
    compose = load("compose.yaml")
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        assert {config["source"] for config in service.get("configs", ())} <= set(compose["configs"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (INFRA / source).is_file() if source.startswith(".") else source in compose["volumes"], volume
        hosts = re.findall(r"(?:http|postgresql\+\w+)://(?:[^@/\s]*@)?([a-z-]+):(\d+)", json.dumps(service))
        assert {host for host, _ in hosts} <= set(services), name
    for name, port in (("prefect", 4200), ("mlflow", 5000), ("ray-head", 8265)):
        assert services[name]["ports"] == [f"${{SSAT_LISTEN:-127.0.0.1}}:{port}:{port}"]
    assert set(load("compose.gpu.yaml")["services"]) <= set(services)


def test_compose_publishes_on_loopback_and_holds_no_secret() -> None:
    text = (INFRA / "compose.yaml").read_text()
    for service in load("compose.yaml")["services"].values():
        assert all(port.startswith("${SSAT_LISTEN:-127.0.0.1}:") for port in service.get("ports", ()))
        for key, value in environment(service).items():
            if re.search("PASSWORD|TOKEN|SECRET|AUTH_STRING", key):
                assert re.fullmatch(r"\$\{[A-Z0-9_]+(:\?[^}]*)?\}", value), key
    # Each secret is refused where it is missing, and the page on clusters names it.
    secrets = set(re.findall(r"\$\{([A-Z0-9_]+):\?", text))
    used = set(re.findall(r"\$\{([A-Z0-9_]+)[:}]", text)) - {"SSAT_LISTEN", "SSAT_PUBLIC_HOST"}
    assert secrets == used
    page = (PROJECT / "docs" / "cluster.md").read_text()
    assert all(name in page for name in secrets)


def test_compose_starts_ray_with_tokens_and_mlflow_with_a_login() -> None:
    services = load("compose.yaml")["services"]
    assert services["mlflow"]["command"][1:4] == ["server", "--app-name", "basic-auth"]
    for name in ("ray-head", "ray-worker", "prefect-worker"):
        assert environment(services[name])["RAY_AUTH_MODE"] == "token"
        # Ray's workers report to MLflow themselves: they need its address and login as much as the flows do.
        assert {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD"} <= set(environment(services[name]))
    clients = environment(services["prefect-worker"])
    assert f"--port={clients['RAY_ADDRESS'].split(':')[1]}" in services["ray-head"]["command"]
    assert services["prefect-worker"]["command"][3:5] == ["--pool", POOL]


def test_the_flows_are_registered_for_the_pool_that_the_worker_serves() -> None:
    deployments = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
    assert {entry["work_pool"]["name"] for entry in deployments["deployments"]} == {POOL}
    assert deployments["prefect-version"] == locked("prefect")
    command = load("compose.yaml")["services"]["deployments"]["command"]
    assert command[:2] == ["ssat", "deploy"]
    shown = CliRunner().invoke(cli, ["deploy", "--help"]).output
    assert {word for word in command if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", shown))


def test_the_image_is_pinned_and_not_of_root() -> None:
    lines = (INFRA / "Dockerfile").read_text().splitlines()
    assert re.fullmatch(r"FROM python:3\.11\.\d+-slim-bookworm", next(line for line in lines if "FROM" in line))
    text = "\n".join(lines)
    assert "--require-hashes --requirement requirements.lock" in text
    assert [line for line in lines if line.startswith("USER")] == ["USER ssat"]
    allowed = {line[1:] for line in (INFRA / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = {part for line in lines if line.startswith("COPY") for part in line.split()[2:-1]}
    assert copied <= allowed
    assert all((PROJECT / name).exists() for name in allowed)
    used = {service["image"] for service in load("compose.yaml")["services"].values()}
    assert all(re.search(r":v?\d+\.\d+", image) for image in used), "an image without a version"
    assert IMAGE in used
    assert IMAGE in text


@pytest.mark.parametrize("name", ["ray/cluster.yaml", "ray/on-premise.yaml"])
def test_ray_up_takes_the_cluster(name: str) -> None:
    from ray.scripts.scripts import start as ray_start

    cluster = load(name)
    jsonschema.validate(cluster, ray_schema())
    assert cluster["docker"]["image"] == IMAGE
    for command in (cluster["head_start_ray_commands"][1], cluster["worker_start_ray_commands"][1]):
        assert command.startswith("RAY_AUTH_MODE=token ")
        known = {option for parameter in ray_start.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", command)) <= known
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, "min_workers": 2}, ray_schema())


def test_kubernetes_takes_the_pods() -> None:
    for name, cluster in clusters():
        for pod in pods(cluster):
            kubernetes_validate.validate(pod, "1.34", strict=True)
            assert pod["spec"]["securityContext"]["runAsNonRoot"], name
            (container,) = pod["spec"]["containers"]
            assert container["image"] == IMAGE
            assert container["envFrom"] == [{"secretRef": {"name": "ssat-services"}}]
        pod["spec"]["containers"][0]["imagee"] = "x"
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, "1.34", strict=True)


def test_kuberay_clusters_have_known_fields_the_locked_ray_and_gpus_for_training() -> None:
    for name, cluster in clusters():
        assert set(cluster) == CLUSTER, name
        assert cluster["rayVersion"] == locked("ray")
        assert cluster["authOptions"] == {"mode": "token"}
        assert set(cluster["headGroupSpec"]) == HEAD_GROUP
        groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
        for group in groups.values():
            assert set(group) == WORKER_GROUP
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
            assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        if "train" in groups:
            resources = groups["train"]["template"]["spec"]["containers"][0]["resources"]
            assert resources["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("name", ["decode", "train"])
def test_ray_jobs_start_commands_that_exist(name: str) -> None:
    job = load(f"kuberay/{name}.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) == JOB
    program, verb, *arguments = job["spec"]["entrypoint"].split()
    assert (program, verb) == ("ssat", name)
    shown = CliRunner().invoke(cli, [verb, "--help"]).output
    options = {argument for argument in arguments if argument.startswith("--")}
    assert options <= set(re.findall(r"--[a-z-]+", shown))


def test_prometheus_takes_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; infra/system-packages.sh says how")
    check = [promtool, "check", "config", "prometheus.yaml"]
    checked = subprocess.run(check, cwd=INFRA / "monitoring", capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_reads_what_is_exported() -> None:
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    dashboard = json.loads((INFRA / "monitoring" / "grafana" / "ssat.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = load("monitoring/alerts.yaml")["groups"][0]["rules"]
    expressions += [rule["expr"] for rule in alerts]
    names = set(re.findall(r"\bray_\w+", " ".join(expressions)))
    ours = {f"ray_{name}_total" for name in COUNTERS}
    assert ours <= names, "a counter that nobody looks at"
    # Ray's own, from its agent; tasks and resources come from the core (an integration test reads them).
    agent = {f"ray_{name}" for name in METRICS_GAUGES}
    assert names - ours - agent == {"ray_tasks", "ray_resources"}
    titles = {panel["title"] for panel in dashboard["panels"]}
    assert {"Clips a second", "Frames a second", "Images a second", "GPU share", "Failures"} <= titles
    source = load("monitoring/grafana/datasource.yaml")["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    scraped = load("monitoring/prometheus.yaml")["scrape_configs"][0]["dns_sd_configs"][0]
    services = load("compose.yaml")["services"]
    assert all(f"--metrics-export-port={scraped['port']}" in services[name]["command"] for name in scraped["names"])
