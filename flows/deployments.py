"""Entry points of the deployments in prefect.yaml: each flow with the services that it needs around it.

The command line starts services around a flow; a worker starts the flow alone, so these entry points do it: MLflow by
MLFLOW_TRACKING_URI or in the workspace, Ray by RAY_ADDRESS or local. What goes wrong ends the flow run as failed with
one clear message, and the webhook is notified.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flows import Flow
from prefect.states import Completed, Failed, State

from flows.scale import scale_flow
from flows.stage import STAGES, Needs, stage_named
from flows.stage_flow import with_signature
from flows.stages.collect import NothingCollectedError
from flows.studies.clips import clips_study
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.scale.settings import ScaleSettings
from ssat.studies.settings import ClipsStudySettings
from ssat.workspace import Workspace
from tasks.failures import unwrap
from tasks.halt import Halted, Suspension, halting
from tasks.notify import notify
from tasks.services import services


def tell_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Notify of a failed or crashed run: Prefect's hook, which also runs for a killed process."""
    notify(
        "failed",
        f"{flow.name} {state.name.lower() if state.name else 'failed'}: {state.message}",
        flow=flow.name,
        flow_run=flow_run.name,
        flow_run_id=str(flow_run.id),
    )


_HOOKS: dict[str, Any] = {"persist_result": False, "on_failure": [tell_failure], "on_crashed": [tell_failure]}


@flow(name="study", **_HOOKS)
def study(
    workspace: str, settings: ClipsStudySettings, train: TrainSettings, benchmark: BenchmarkSettings
) -> State[Any]:
    """Study: scores against the number of training clips, with several seeds."""
    stages = (settings, train, benchmark)
    return _deployed_flow(
        clips_study, workspace, *stages, ray=True, mlflow=True, summarise=lambda result: result.report
    )


@flow(name="scale", **_HOOKS)
def scale(
    workspace: str,
    settings: ScaleSettings,
    collect: CollectSettings,
    decode: DecodeSettings,
    train: TrainSettings,
    benchmark: BenchmarkSettings,
) -> State[Any]:
    """Scale: one rung further up the ladder of training sizes."""
    stages = (settings, collect, decode, train, benchmark)
    return _deployed_flow(
        scale_flow, workspace, *stages, ray=True, mlflow=True, summarise=lambda result: result.summary
    )


def _deployed_stage(name: str) -> Flow[..., Any]:
    """Return the deployed flow of a stage."""
    stage = stage_named(name)

    def work(workspace: str, settings: Any) -> State[Any]:
        return _deployed(
            lambda: stage.open(workspace, settings),
            lambda opened: stage.run(opened, settings),
            stage.needs(settings),
            stage.message,
            stage.failure,
        )

    work.__module__ = __name__
    return Flow(with_signature(work, stage, State[Any]), name=name, description=stage.summary, **_HOOKS)


def _deployed_flow(
    inner: Flow[..., Any],
    workspace: str,
    *arguments: Any,
    summarise: Callable[[Any], str],
    ray: bool = False,
    mlflow: bool = False,
) -> State[Any]:
    return _deployed(
        lambda: Workspace.open(workspace),
        # The function, not the flow: the run that Prefect started is the run of this stage.
        lambda _: inner.fn(workspace, *arguments),
        Needs(ray=ray, mlflow=mlflow),
        summarise,
    )


def _deployed(
    opened: Callable[[], Workspace],
    work: Callable[[Workspace], Any],
    needs: Needs,
    summarise: Callable[[Any], str],
    failed: Callable[[Any], str] = lambda _: "",
) -> State[Any]:
    """`work` as this flow run, with its services; the state that it ends in, with a message a person understands.

    Raises:
        Pause: a person suspended the run; Prefect starts it again when it is resumed.
    """
    suspension = Suspension(runtime.flow_run.id)
    try:
        workspace = opened()
        with ExitStack() as stack:
            stack.enter_context(services(workspace, prefect=False, ray=needs.ray, mlflow=needs.mlflow))
            stack.enter_context(halting(suspension.reason))
            result = work(workspace)
    except Exception as error:
        cause = unwrap(error)
        stopped = isinstance(cause, Halted) or (isinstance(cause, NothingCollectedError) and cause.stopped)
        # A stage that fails while it is being suspended has failed.
        if suspension.state is None or not stopped:
            if cause is None:
                raise
            return Failed(message=str(cause))
    if suspension.state is not None:
        raise Pause("suspended on Prefect's page", state=suspension.state)
    if problem := failed(result):
        return Failed(message=problem)
    message = summarise(result)
    if stopped := getattr(result, "stopped", ""):
        message = message if stopped in message else f"{message}; {stopped}"
    return Completed(message=message)


def __getattr__(name: str) -> Flow[..., Any]:
    """Return the deployed flow of the stage of that name, which an entry point asks this module for."""
    if name not in STAGES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()[name] = made = _deployed_stage(name)
    return made
