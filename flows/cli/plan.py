"""`ssat plan`: estimate the cost of a number of clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.messages import with_options
from flows.cli.options import build_settings, common_options, preset_option, print_json, settings_options
from ssat.plan.settings import PlanSettings

if TYPE_CHECKING:
    from ssat.plan.figures import PlanFigure
    from ssat.plan.model import CostPlan


@click.command(
    epilog="""\b
Examples:
  ssat plan --clips 500000 --gpus 8 --nodes 1
  ssat plan --clips 500000 --price-gpu-hour 2.5 --price-gib-month 0.02 --preset paper --json
  ssat plan --measure --clips 160 --gpus 0 --cores 2
"""
)
@common_options
@preset_option
@settings_options(PlanSettings)
@click.option("--measure", "measure_first", is_flag=True, help="Measure this machine first; kept in the workspace.")
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    measure_first: bool,
    plan_given: dict[str, Any],
) -> None:
    """Estimate the cost of collecting, decoding, training and benchmarking a number of clips, and the bottleneck.

    Hours, bytes on disk and over the network, memory, GPU-hours and cost by stage; below it every figure that this
    rests on, and whether it was measured here, is published, or assumed. docs/scaling.md explains the arithmetic.
    """
    settings = build_settings(PlanSettings, config=config, preset=preset, given=plan_given)

    from ssat.plan.figures import DEFAULTS
    from ssat.plan.measure import as_rows, load_figures, measure
    from ssat.plan.model import make_plan
    from ssat.workspace import Workspace

    figures = dict(DEFAULTS)
    if measure_first or Path(workspace).expanduser().is_dir():
        opened = Workspace.open(workspace)
        if measure_first:
            measure(opened, lambda what: click.echo(f"measuring: {what}", err=True))
        figures = load_figures(opened)
    plan = make_plan(settings, figures)
    _show(settings, plan, figures, as_json)
    if as_json:
        print_json(
            {
                "hours": plan.hours,
                "bottleneck": {"stage": plan.bottleneck.name, "resource": plan.bottleneck.bound_by},
                "stages": [
                    {
                        "stage": stage.name,
                        "hours": stage.hours,
                        "bound_by": stage.bound_by,
                        "hours_by_resource": dict(stage.limits),
                        "disk_bytes": round(stage.disk_bytes),
                        "network_bytes": round(stage.network_bytes),
                        "node_memory_gib": stage.node_gib,
                        "gpu_memory_gib": stage.gpu_gib,
                        "gpu_hours": stage.gpu_hours,
                        "core_hours": stage.core_hours,
                    }
                    for stage in plan.stages
                ],
                "cost": plan.cost,
                "warnings": list(plan.warnings),
                "figures": as_rows(figures),
                "settings": settings.model_dump(mode="json"),
            }
        )


def _show(settings: PlanSettings, plan: CostPlan, figures: dict[str, PlanFigure], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=as_json)
    where = f"{settings.nodes} × ({settings.gpus} GPUs, {settings.cores} cores)"
    table = Table(title=f"{settings.clips:,} clips, {settings.architecture} at {settings.crop} pixels on {where}")
    table.add_column("stage")
    for name in ("time", "on disk", "network", "memory", "GPU memory", "GPU-hours"):
        table.add_column(name, justify="right")
    table.add_column("set by", overflow="fold")
    for stage in plan.stages:
        table.add_row(
            stage.name,
            _time(stage.hours),
            _bytes(stage.disk_bytes),
            _bytes(stage.network_bytes),
            f"{stage.node_gib:.1f} GiB",
            f"{stage.gpu_gib:.1f} GiB" if stage.gpu_gib else "–",
            f"{stage.gpu_hours:,.1f}" if stage.gpu_hours else "–",
            stage.bound_by,
        )
    table.add_section()
    table.add_row(
        "together",
        _time(plan.hours),
        _bytes(sum(stage.disk_bytes for stage in plan.stages)),
        _bytes(sum(stage.network_bytes for stage in plan.stages)),
        "",
        "",
        f"{sum(stage.gpu_hours for stage in plan.stages):,.1f}",
        f"{plan.bottleneck.name}: {plan.bottleneck.bound_by}",
    )
    console.print(table)
    if plan.cost:
        parts = ", ".join(f"{name} {amount:,.2f}" for name, amount in plan.cost.items())
        console.print(f"cost, in the unit of the prices: {parts}", highlight=False)
    for warning in plan.warnings:
        console.print(f"mind: {with_options(warning)}", markup=False, highlight=False)
    known = Table(title="what this rests on")
    for name in ("figure", "value", "unit", "known", "from"):
        known.add_column(name, justify="right" if name == "value" else "left", overflow="fold")
    for name, figure in figures.items():
        known.add_row(name.replace("_", " "), f"{figure.value:,.4g}", figure.unit, figure.kind, figure.source)
    console.print(known)


def _time(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.1f} s"
    if hours < 1:
        return f"{60 * hours:.1f} min"
    return f"{hours:,.1f} h" if hours < 72 else f"{hours / 24:,.1f} d"


def _bytes(count: float) -> str:
    if not count:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.2f} TB"
