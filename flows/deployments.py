"""Entry points of the deployments in prefect.yaml: each flow with the services that it needs around it.

The command line starts services around a flow; a worker starts the flow alone, so these entry points do it: MLflow by
MLFLOW_TRACKING_URI or in the workspace, Ray by RAY_ADDRESS or local. What goes wrong ends the flow run as failed with
one clear message, and the webhook is notified.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flows import Flow
from prefect.states import Completed, Failed, State

from flows.deployment_file import entry_stage, entry_stage_name
from flows.stage import STAGES, Needs, check_stage
from flows.stage_flow import with_signature
from flows.stages.collect import NothingCollectedError
from ssat.settings import StageSettings
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


def _deployed_stage(entry_point: str) -> Flow[..., Any]:
    """Return the deployed flow of a stage, which goes by the name of its entry point."""
    stage = entry_stage(entry_point)

    def work(workspace: str, *parameters: StageSettings | None) -> State[Any]:
        settings = stage.bundled(dict(zip(stage.models, parameters, strict=True)))

        def checked() -> Workspace:
            opened = stage.open(workspace, settings)
            check_stage(stage.name, opened, settings)
            return opened

        return _deployed(
            checked,
            lambda opened: stage.run(opened, settings),
            stage.needs(settings),
            stage.message,
            stage.failure,
        )

    with_signature(work, stage, State[Any])
    work.__module__, work.__name__, work.__qualname__ = __name__, entry_point, entry_point
    return Flow(work, name=entry_point, description=stage.summary, **_HOOKS)


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
    if entry_stage_name(name) not in STAGES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()[name] = made = _deployed_stage(name)
    return made
