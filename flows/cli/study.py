"""`ssat study`: the paper's tables as one command each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import (
    SectionedCommand,
    association_preset_option,
    build_settings,
    common_options,
    preset_option,
    print_json,
    settings_options,
)
from flows.stage import check_stage
from ssat.embedding.settings import TrainSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.settings import (
    ClipsStudySettings,
    FeaturesStudySettings,
    ThresholdsStudySettings,
    TrackersStudySettings,
)

if TYPE_CHECKING:
    from ssat.workspace import Workspace
    from tasks.study import StudyResult

_OWN = frozenset({"tracker", "video"})  # settings that the studies set themselves


@click.group()
def command() -> None:
    """The paper's experiments: a table, a figure and a report each, recorded as one MLflow run with child runs.

    A study that is started again does only what is missing.
    """


@command.command("extensions", epilog="Example: ssat study extensions --mot MOT17/train --protocol motchallenge")
@common_options
@settings_options(BenchmarkSettings, skip=_OWN)
def extensions(
    workspace: str, config: Path | None, as_json: bool, debug: bool, benchmark_given: dict[str, Any]
) -> None:
    """SSAT; with the box term; with feature accumulation (Table 3)."""
    benchmark = build_settings(BenchmarkSettings, config=config, preset=None, given=benchmark_given)

    def run() -> StudyResult[Any]:
        from flows.studies.extensions import extensions_study

        return extensions_study(workspace, benchmark)

    def check(opened: Workspace) -> None:
        check_stage("benchmark", opened, benchmark)

    _start(workspace, as_json, debug, run, check)


@command.command("strong", epilog="Example: ssat study strong --mot MOT17/train --embedder colour")
@common_options
@settings_options(BenchmarkSettings, skip=_OWN)
def strong(workspace: str, config: Path | None, as_json: bool, debug: bool, benchmark_given: dict[str, Any]) -> None:
    """Beyond the paper: the preset strong, and without each of its ingredients."""
    benchmark = build_settings(BenchmarkSettings, config=config, preset="strong", given=benchmark_given)

    def run() -> StudyResult[Any]:
        from flows.studies.strong import strong_study

        return strong_study(workspace, benchmark)

    def check(opened: Workspace) -> None:
        check_stage("benchmark", opened, benchmark)

    _start(workspace, as_json, debug, run, check)


@command.command(
    "features",
    cls=SectionedCommand,
    epilog="Example: ssat study features --mot MOT17/train --embedder colour --embedder RUN",
)
@common_options
@association_preset_option("quick")
@settings_options(FeaturesStudySettings)
@settings_options(BenchmarkSettings, skip=_OWN | {"embedder"})
def features(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    study_features_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Features on the same detections: AUC by labels and by the probe, and the tracker's scores.

    The preset quick associates with alpha 1 and no motion, so that IDF1 depends on the feature.
    """
    settings = build_settings(FeaturesStudySettings, config=config, preset=None, given=study_features_given)
    benchmark = build_settings(BenchmarkSettings, config=config, preset=preset, given=benchmark_given)

    def run() -> StudyResult[Any]:
        from flows.studies.features import features_study

        return features_study(workspace, settings, benchmark)

    def check(opened: Workspace) -> None:
        from ssat.pipeline.benchmark_inputs import check_sequences
        from tasks.embedders import check_embedder

        check_sequences(benchmark)
        for name in settings.embedder:
            check_embedder(name, opened)

    _start(workspace, as_json, debug, run, check)


@command.command(
    "trackers",
    cls=SectionedCommand,
    epilog="Example: ssat study trackers --mot MOT17/train --unlabelled TUD-Campus --unlabelled TUD-Stadtmitte",
)
@common_options
@settings_options(TrackersStudySettings)
@settings_options(BenchmarkSettings, skip=_OWN)
def trackers(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    study_trackers_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Trackers on the same detections (Tables 1 and 2)."""
    settings = build_settings(TrackersStudySettings, config=config, preset=None, given=study_trackers_given)
    benchmark = build_settings(BenchmarkSettings, config=config, preset=None, given=benchmark_given)

    def run() -> StudyResult[Any]:
        from flows.studies.trackers import trackers_study

        return trackers_study(workspace, settings, benchmark)

    def check(opened: Workspace) -> None:
        if settings.boxmot_python is not None:
            from ssat.studies.boxmot import find_boxmot

            find_boxmot(settings.boxmot_python)
        tracker = "ssat" if settings.needs_appearance else "box"
        tracked = benchmark.model_copy(update={"tracker": tracker})
        check_stage("benchmark", opened, tracked, follows=not settings.needs_embedder)

    _start(workspace, as_json, debug, run, check)


@command.command(
    "clips", cls=SectionedCommand, epilog="Example: ssat study clips --clips 160,800,1600 --mot MOT17/train"
)
@common_options
@preset_option
@settings_options(ClipsStudySettings)
@settings_options(TrainSettings, skip=frozenset({"clips", "seed", "warm_start"}))
@settings_options(BenchmarkSettings, skip=_OWN | {"embedder"})
def clips(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    study_clips_given: dict[str, Any],
    train_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Scores against the number of training clips, with several seeds (Table 4)."""
    settings = build_settings(ClipsStudySettings, config=config, preset=None, given=study_clips_given)
    train = build_settings(TrainSettings, config=config, preset=preset, given=train_given)
    benchmark = build_settings(BenchmarkSettings, config=config, preset=None, given=benchmark_given)

    def run() -> StudyResult[Any]:
        from flows.studies.clips import clips_study

        return clips_study(workspace, settings, train, benchmark)

    def check(opened: Workspace) -> None:
        check_stage("train", opened, train)
        check_stage("benchmark", opened, benchmark, follows=True)

    _start(workspace, as_json, debug, run, check)


@command.command(
    "thresholds",
    cls=SectionedCommand,
    epilog="Example: ssat study thresholds --mot MOT17/train --tau1 0.3,0.4,0.56 --alpha 1,2",
)
@common_options
@preset_option
@settings_options(ThresholdsStudySettings)
@settings_options(TrainSettings, skip=frozenset({"margin", "scale"}))
@settings_options(BenchmarkSettings, skip=_OWN)
def thresholds(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    study_thresholds_given: dict[str, Any],
    train_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Sweep tau1, tau2, alpha and beta; margin and scale too where they are given.

    The best point of one split is reported on another.
    """
    settings = build_settings(ThresholdsStudySettings, config=config, preset=None, given=study_thresholds_given)
    train = build_settings(TrainSettings, config=config, preset=preset, given=train_given)
    benchmark = build_settings(BenchmarkSettings, config=config, preset=None, given=benchmark_given)

    def run() -> StudyResult[Any]:
        from flows.studies.thresholds import thresholds_study

        return thresholds_study(workspace, settings, benchmark, train)

    def check(opened: Workspace) -> None:
        from ssat.pipeline.benchmark_inputs import sequences_of

        trains = bool(settings.margin or settings.scale)
        if trains:
            check_stage("train", opened, train)
        if settings.choose_mot:
            sequences_of(
                benchmark.model_copy(update={"mot": settings.choose_mot, "sequences": settings.choose_sequences})
            )
        check_stage("benchmark", opened, benchmark, follows=trains)

    _start(workspace, as_json, debug, run, check)


def _start(
    workspace: str, as_json: bool, debug: bool, run: Callable[[], StudyResult[Any]], check: Callable[[Workspace], None]
) -> None:
    """Run a study with the services that it needs; `check` refuses before they start what cannot be used."""
    from ssat.workspace import Workspace

    opened = Workspace.open(workspace)
    check(opened)

    from tasks.services import services

    with services(opened, ray=True, mlflow=True, debug=debug):
        result = run()
    _show(workspace, result, as_json)
    if as_json:
        print_json(result)


def _show(workspace: str, result: StudyResult[Any], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=as_json)
    title = f"study {result.study}, protocol {result.content.protocol}" + (" (done before)" if result.reused else "")
    table = Table(title=title, title_justify="left")
    for n, heading in enumerate(result.content.table[0]):
        table.add_column(heading, justify="left" if n == 0 else "right")
    for row in result.content.table:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    for note in result.content.notes:
        console.print(note, markup=False, style="dim")
    console.print(f"report: {Path(workspace) / result.report}", markup=False, soft_wrap=True)
