"""The paper's experiments, and those beyond it: a stage each, the verbs of `ssat study`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.stage import Needs, S, Stage, check_stage
from ssat.embedding.settings import TrainSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.settings import (
    ClipsStudySettings,
    FeaturesStudySettings,
    ThresholdsStudySettings,
    TrackersStudySettings,
)
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.study import StudyResult

_OWN = frozenset({"tracker", "video"})  # settings that the studies set themselves


class StudyStage(Stage[S, "StudyResult[Any]"]):
    """A table, a figure and a report, recorded as one MLflow run with child runs; done once."""

    def needs(self, settings: S) -> Needs:
        return Needs(ray=True, mlflow=True)

    def show(self, result: StudyResult[Any], workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        title = f"study {result.study}, protocol {result.content.protocol}"
        table = Table(title=title + (" (done before)" if result.reused else ""), title_justify="left")
        for n, heading in enumerate(result.content.table[0]):
            table.add_column(heading, justify="left" if n == 0 else "right")
        for row in result.content.table:
            table.add_row(*(str(value) for value in row.values()))
        console.print(table)
        for note in result.content.notes:
            console.print(note, markup=False, style="dim")
        console.print(f"report: {workspace.root / result.report}", markup=False, soft_wrap=True)

    def message(self, result: StudyResult[Any]) -> str:
        return result.report


class Extensions(StudyStage[BenchmarkSettings]):
    """SSAT; with the box term; with feature accumulation (Table 3)."""

    name = "study_extensions"
    settings = BenchmarkSettings
    decided = {"benchmark": _OWN}  # noqa: RUF012
    examples = ("ssat study extensions --mot MOT17/train --protocol motchallenge",)

    def check(self, workspace: Workspace, settings: BenchmarkSettings) -> None:
        check_stage("benchmark", workspace, settings)

    def run(self, workspace: Workspace, settings: BenchmarkSettings) -> StudyResult[Any]:
        from flows.studies.extensions import extensions_study

        return extensions_study(workspace, settings)


class Strong(StudyStage[BenchmarkSettings]):
    """Beyond the paper: the preset strong, and without each of its ingredients."""

    name = "study_strong"
    settings = BenchmarkSettings
    decided = {"benchmark": _OWN}  # noqa: RUF012
    own_presets = {"settings": "strong"}  # noqa: RUF012
    examples = ("ssat study strong --mot MOT17/train --embedder colour",)

    def check(self, workspace: Workspace, settings: BenchmarkSettings) -> None:
        check_stage("benchmark", workspace, settings)

    def run(self, workspace: Workspace, settings: BenchmarkSettings) -> StudyResult[Any]:
        from flows.studies.strong import strong_study

        return strong_study(workspace, settings)


@dataclass(frozen=True)
class FeaturesBundle:
    """The settings of the study of features."""

    settings: FeaturesStudySettings
    benchmark: BenchmarkSettings


class Features(StudyStage[FeaturesBundle]):
    """Features on the same detections: AUC by labels and by the probe, and the tracker's scores.

    The preset quick associates with alpha 1 and no motion, so that IDF1 depends on the feature.
    """

    name = "study_features"
    settings = FeaturesStudySettings
    bundle = FeaturesBundle
    decided = {"benchmark": _OWN | {"embedder"}}  # noqa: RUF012
    presets = "association"
    examples = ("ssat study features --mot MOT17/train --embedder colour --embedder RUN",)

    def check(self, workspace: Workspace, settings: FeaturesBundle) -> None:
        from ssat.pipeline.benchmark_inputs import check_sequences
        from tasks.embedders import check_embedder

        check_sequences(settings.benchmark)
        for name in settings.settings.embedder:
            check_embedder(name, workspace)

    def run(self, workspace: Workspace, settings: FeaturesBundle) -> StudyResult[Any]:
        from flows.studies.features import features_study

        return features_study(workspace, settings.settings, settings.benchmark)


@dataclass(frozen=True)
class TrackersBundle:
    """The settings of the study of trackers."""

    settings: TrackersStudySettings
    benchmark: BenchmarkSettings


class Trackers(StudyStage[TrackersBundle]):
    """Trackers on the same detections (Tables 1 and 2)."""

    name = "study_trackers"
    settings = TrackersStudySettings
    bundle = TrackersBundle
    decided = {"benchmark": _OWN}  # noqa: RUF012
    examples = ("ssat study trackers --mot MOT17/train --unlabelled TUD-Campus --unlabelled TUD-Stadtmitte",)

    def check(self, workspace: Workspace, settings: TrackersBundle) -> None:
        chosen = settings.settings
        if chosen.boxmot_python is not None:
            from ssat.studies.boxmot import find_boxmot

            find_boxmot(chosen.boxmot_python)
        tracked = settings.benchmark.model_copy(update={"tracker": "ssat" if chosen.needs_appearance else "box"})
        check_stage("benchmark", workspace, tracked, follows=not chosen.needs_embedder)

    def run(self, workspace: Workspace, settings: TrackersBundle) -> StudyResult[Any]:
        from flows.studies.trackers import trackers_study

        return trackers_study(workspace, settings.settings, settings.benchmark)


@dataclass(frozen=True)
class ClipsBundle:
    """The settings of the study of the number of clips."""

    settings: ClipsStudySettings
    train: TrainSettings
    benchmark: BenchmarkSettings


class Clips(StudyStage[ClipsBundle]):
    """Scores against the number of training clips, with several seeds (Table 4)."""

    name = "study_clips"
    settings = ClipsStudySettings
    bundle = ClipsBundle
    decided = {  # noqa: RUF012
        "train": frozenset({"clips", "seed", "warm_start", "colours"}),
        "benchmark": _OWN | {"embedder"},
    }
    presets = "training"
    own_presets = {"benchmark": None}  # noqa: RUF012
    examples = ("ssat study clips --clips 160,800,1600 --mot MOT17/train",)

    def check(self, workspace: Workspace, settings: ClipsBundle) -> None:
        check_stage("train", workspace, settings.train)
        check_stage("benchmark", workspace, settings.benchmark, follows=True)

    def run(self, workspace: Workspace, settings: ClipsBundle) -> StudyResult[Any]:
        from flows.studies.clips import clips_study

        return clips_study(workspace, settings.settings, settings.train, settings.benchmark)


@dataclass(frozen=True)
class ThresholdsBundle:
    """The settings of the study of thresholds; `train` counts where margins or scales are given."""

    settings: ThresholdsStudySettings
    train: TrainSettings
    benchmark: BenchmarkSettings


class Thresholds(StudyStage[ThresholdsBundle]):
    """Sweep tau1, tau2, alpha and beta; margin and scale too where they are given.

    The best point of one split is reported on another.
    """

    name = "study_thresholds"
    settings = ThresholdsStudySettings
    bundle = ThresholdsBundle
    decided = {"train": frozenset({"margin", "scale", "colours"}), "benchmark": _OWN}  # noqa: RUF012
    presets = "training"
    own_presets = {"benchmark": None}  # noqa: RUF012
    examples = ("ssat study thresholds --mot MOT17/train --tau1 0.3,0.4,0.56 --alpha 1,2",)

    def check(self, workspace: Workspace, settings: ThresholdsBundle) -> None:
        from ssat.pipeline.benchmark_inputs import sequences_of

        chosen, benchmark = settings.settings, settings.benchmark
        trains = bool(chosen.margin or chosen.scale)
        if trains:
            check_stage("train", workspace, settings.train)
        if chosen.choose_mot:
            changes = {"mot": chosen.choose_mot, "sequences": chosen.choose_sequences}
            sequences_of(benchmark.model_copy(update=changes))
        check_stage("benchmark", workspace, benchmark, follows=trains)

    def run(self, workspace: Workspace, settings: ThresholdsBundle) -> StudyResult[Any]:
        from flows.studies.thresholds import thresholds_study

        return thresholds_study(workspace, settings.settings, settings.benchmark, settings.train)


EXTENSIONS, STRONG, FEATURES = Extensions(), Strong(), Features()
TRACKERS, CLIPS, THRESHOLDS = Trackers(), Clips(), Thresholds()
