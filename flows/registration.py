"""prefect.yaml as deployments: with the parameters of a workspace and a configuration file, checked by the models."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Cron
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from flows.deployment_file import ENTRY_POINTS, entry_stage
from flows.stage import STAGES, stage_named
from ssat.clips.settings import CollectSettings
from ssat.errors import InputError
from ssat.remote import is_remote
from ssat.setting_marks import LocalPath, marked
from ssat.settings import StageSettings
from tasks.notify import BLOCK, VARIABLE, webhook_url

Parameters = dict[str, Any]
"""Parameters of a flow as Prefect stores them: JSON values by name."""


class _Schedule(BaseModel):
    model_config = ConfigDict(extra="forbid")
    cron: str
    timezone: str
    active: bool = True


class _WorkPool(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = Field(default_factory=dict)


class _Concurrency(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int
    collision_strategy: ConcurrencyLimitStrategy


class Entry(BaseModel):
    """One deployment of prefect.yaml, as far as this project uses Prefect's format."""

    model_config = ConfigDict(extra="forbid")

    name: str
    entrypoint: str
    description: str
    tags: list[str]
    concurrency_limit: _Concurrency
    schedules: list[_Schedule] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    work_pool: _WorkPool

    @property
    def flow_name(self) -> str:
        """The flow's name, which is also that of its entry point."""
        return self.entrypoint.removeprefix(ENTRY_POINTS)

    @property
    def scheduled(self) -> bool:
        """Whether it runs by itself."""
        return any(schedule.active for schedule in self.schedules)


def read_entries(path: Path, only: Sequence[str] = ()) -> list[Entry]:
    """Return the deployments of a prefect.yaml; with `only`, those of these flows.

    Raises:
        InputError: not YAML, a deployment that is not as expected, or a flow that has none.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = [Entry.model_validate(entry) for entry in content["deployments"]]
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a list of deployments under `deployments`") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: a deployment's {where}: {first['msg']} (given: {first['input']!r})") from error
    known = [entry.flow_name for entry in entries]
    entries += [_unscheduled(name) for name in only if name in STAGES and name not in known]
    for name in only:
        if name not in known and name not in STAGES:
            raise InputError(f"{path}: no deployment of a flow {name}; it has {', '.join(known)}")
    return [entry for entry in entries if not only or entry.flow_name in only]


def _unscheduled(name: str) -> Entry:
    """Return the deployment of a stage that the file does not have: it runs when a person or another flow starts it."""
    return Entry(
        name="ssat",
        entrypoint=f"{ENTRY_POINTS}{name}",
        description=stage_named(name).summary,
        tags=["ssat"],
        concurrency_limit=_Concurrency(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        work_pool=_WorkPool(name="ssat"),
    )


def build_deployments(
    path: Path,
    entries: Sequence[Entry],
    workspace: str,
    preset: str,
    sections: Mapping[str, Mapping[str, Any]],
    *,
    work_pool: bool,
) -> list[RunnerDeployment]:
    """Return deployments ready to be registered; without `work_pool` the serving process runs them.

    Raises:
        InputError: names file, deployment and setting that does not fit, or that a scheduled deployment lacks.
    """
    made: list[RunnerDeployment] = []
    for entry in entries:
        flow = _flow(path, entry)
        parameters = _parameters(path, entry, flow, workspace, preset, sections)
        made.append(
            # Called outside a running event loop, it gives the deployment itself.
            flow.to_deployment(  # type: ignore[arg-type]
                entry.name,
                description=entry.description,
                tags=entry.tags,
                parameters=parameters,
                schedules=[
                    Cron(schedule.cron, timezone=schedule.timezone, active=schedule.active)
                    for schedule in entry.schedules
                ],
                concurrency_limit=ConcurrencyLimitConfig(
                    limit=entry.concurrency_limit.limit, collision_strategy=entry.concurrency_limit.collision_strategy
                ),
                work_pool_name=entry.work_pool.name if work_pool else None,
                work_queue_name=entry.work_pool.work_queue_name if work_pool else None,
                job_variables=entry.work_pool.job_variables if work_pool else None,
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
    return made


def _flow(path: Path, entry: Entry) -> Flow[..., Any]:
    import flows.deployments

    found = getattr(flows.deployments, entry.flow_name, None)
    if not entry.entrypoint.startswith(ENTRY_POINTS) or not isinstance(found, Flow):
        raise InputError(f"{path}: entrypoint {entry.entrypoint}: expected {ENTRY_POINTS}NAME, a flow of that module")
    return found


def _parameters(
    path: Path,
    entry: Entry,
    flow: Flow[..., Any],
    workspace: str,
    preset: str,
    sections: Mapping[str, Mapping[str, Any]],
) -> Parameters:
    known = inspect.signature(flow.fn, eval_str=True).parameters
    parameters = dict(entry.parameters)
    stage = entry_stage(entry.flow_name)
    if entry.flow_name in STAGES:
        # Files of version 0.1 have settings of `verify` next to the workspace.
        own = stage.settings.fields()
        stray = {name: parameters.pop(name) for name in list(parameters) if name not in known and name in own}
        parameters["settings"] = {**stray, **(parameters.get("settings") or {})}
    for name in parameters:
        if name not in known:
            raise InputError(f"{path}: deployment {entry.flow_name}: no parameter {name}; it has {', '.join(known)}")
    parameters["workspace"] = workspace if is_remote(workspace) else str(Path(workspace).expanduser().resolve())
    left_out: frozenset[str] = frozenset()
    for name, model in stage.models.items():
        if name in left_out:
            parameters[name] = None
            continue
        layers = [sections.get(model.section, {}), parameters.get(name) or {}]
        built = _settings(path, entry, model, preset, layers)
        if built is None:
            # Without a schedule the page asks for missing values.
            parameters[name] = {key: value for layer in layers for key, value in layer.items()}
            continue
        if name == "settings":
            left_out = stage.left_out(built)
        values = built.model_dump(mode="json", exclude_none=True)
        parameters[name] = _with_absolute_paths(values, marked(model, LocalPath))
    return parameters


def _settings(
    path: Path, entry: Entry, model: type[StageSettings], preset: str, layers: Sequence[Mapping[str, Any]]
) -> StageSettings | None:
    """Return complete settings; None where values are missing that a person can give."""
    where = f"{path}: deployment {entry.flow_name}"
    try:
        settings = model.build(preset, *layers)
        lacking = isinstance(settings, CollectSettings) and not settings.source
        problem = "setting collect.source: missing; give source below [collect] in --config FILE"
    except InputError as error:
        problem = str(error)
        if not all(": missing;" in line for line in problem.splitlines()):
            raise InputError(f"{where}: {problem}") from error
        settings, lacking = None, True
    if lacking and entry.scheduled:
        raise InputError(
            f"{where}: {problem}. A deployment with an active schedule has to be complete; or name the deployments "
            "that you want"
        )
    if settings is None:
        return None
    secrets = [name for name in model.model_fields if isinstance(getattr(settings, name), SecretStr)]
    if secrets:
        raise InputError(
            f"{where}: {', '.join(f'{model.section}.{name}' for name in secrets)}: secrets are not stored in "
            f"deployments; set {', '.join(f'SSAT_{name.upper()}' for name in secrets)} where the worker runs"
        )
    return settings


def _with_absolute_paths(values: Parameters, paths: frozenset[str], prefix: str = "") -> Parameters:
    """Make local files and folders absolute: a worker has a folder of its own."""
    made: Parameters = {}
    for name, value in values.items():
        if isinstance(value, dict):
            made[name] = _with_absolute_paths(value, paths, f"{prefix}{name}.")
        else:
            made[name] = _absolute(value) if f"{prefix}{name}" in paths else value
    return made


def _absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    path = Path(str(value)).expanduser()
    return str(path.resolve()) if path.exists() else value


@dataclass(frozen=True)
class RegisteredDeployment:
    """A deployment as FLOW/NAME, its schedules in words, its work pool and the server's id of it."""

    deployment: str
    schedule: str
    work_pool: str
    id: str


def register(entries: Sequence[Entry], deployments: Sequence[RunnerDeployment]) -> list[RegisteredDeployment]:
    """Register work pools, deployments and, where SSAT_WEBHOOK_URL is set, its block on the configured server.

    A schedule that a person switched off on the page stays off.
    """
    rows = []
    with get_client(sync_client=True) as client:
        for pool in {entry.work_pool.name for entry in entries}:
            _ensure_pool(client, pool)
        for entry, deployment in zip(entries, deployments, strict=True):
            keep_paused(client, entry, deployment)
            identity = deployment.apply()
            rows.append(
                RegisteredDeployment(
                    f"{entry.flow_name}/{entry.name}",
                    describe_schedules(deployment),
                    entry.work_pool.name,
                    str(identity),
                )
            )
    save_webhook()
    return rows


def keep_paused(client: SyncPrefectClient, entry: Entry, deployment: RunnerDeployment) -> None:
    """Switch off those schedules of `deployment` that are off on the server."""
    try:
        known = client.read_deployment_by_name(f"{entry.flow_name}/{entry.name}")
    except ObjectNotFound:
        return
    off = {str(getattr(schedule.schedule, "cron", "")) for schedule in known.schedules if not schedule.active}
    for schedule in deployment.schedules or []:
        if str(getattr(schedule.schedule, "cron", "")) in off:
            schedule.active = False


def describe_schedules(deployment: RunnerDeployment) -> str:
    """Cron expression and time zone of each schedule, and whether it is switched off."""
    texts = []
    for schedule in deployment.schedules or []:
        cron = getattr(schedule.schedule, "cron", "")
        texts.append(f"{cron} {getattr(schedule.schedule, 'timezone', '')}{'' if schedule.active else ' (off)'}")
    return "; ".join(texts) or "none"


def _ensure_pool(client: SyncPrefectClient, name: str) -> None:
    from prefect.workers.process import ProcessWorker

    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        except ObjectAlreadyExists:  # another deployment created it at the same time
            return


def save_webhook() -> bool:
    """Save the address of SSAT_WEBHOOK_URL as the Prefect block webhook/ssat; whether there was one."""
    if not os.environ.get(VARIABLE):
        return False
    from prefect.blocks.webhook import Webhook

    url = webhook_url()
    Webhook(method="POST", url=SecretStr(str(url))).save(BLOCK, overwrite=True, _sync=True)  # type: ignore[call-arg]
    return True
