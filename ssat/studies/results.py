"""Results of the studies, as their result files and tables record them.

Fields of a row that are scores stand flat beside the others in JSON: `as_json` and `of` convert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from ssat.pipeline.benchmark_result import Scored
from ssat.studies.published import PublishedRow

Cells = tuple[dict[str, str | int], ...]
"""Rows of a table, heading → cell."""

_FlatScored = Annotated[Scored, BeforeValidator(Scored.of)]


@dataclass(frozen=True)
class Variant:
    """One variant, method or tracker, and what was measured over all sequences.

    Attributes:
        frames_per_cpu_second: of association alone; None if it was not measured.
    """

    name: str
    scored: Scored
    frames_per_cpu_second: float | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Return the name beside the scores."""
        return {"name": self.name, **self.row()}

    def row(self) -> Mapping[str, Any]:
        """Return the scores, and the speed of association where it was measured."""
        rate = self.frames_per_cpu_second
        return {**self.scored.as_json(), **({} if rate is None else {"frames_per_cpu_second": rate})}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Variant:
        """Return what `as_json` gave these values."""
        return cls(values["name"], Scored.of(values), values.get("frames_per_cpu_second"))


@dataclass(frozen=True)
class ComparisonStudy:
    """Benchmarks of several variants on the same data.

    Attributes:
        rows: variants over all sequences.
        sequences: variant → sequence → scores.
        published: title of a table → the paper's rows.
        table: as it is shown.
        benchmarks, runs: variant → folder of its benchmark relative to the workspace, and the id of its recorded run.
        notes: for readers.
    """

    protocol: str
    rows: tuple[Annotated[Variant, BeforeValidator(Variant.of)], ...]
    sequences: dict[str, dict[str, _FlatScored]]
    published: dict[str, tuple[Annotated[PublishedRow, BeforeValidator(PublishedRow.of)], ...]]
    table: Cells
    benchmarks: dict[str, str]
    runs: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MeanOverSeeds:
    """A score over the seeds: mean, half width of its interval (NaN of one seed), and each value."""

    mean: float
    half: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class ClipsRow:
    """Scores of one number of training clips; metric → its mean over the seeds."""

    clips: int
    metrics: dict[str, MeanOverSeeds]

    def as_json(self) -> Mapping[str, Any]:
        """Return `clips`, and METRIC, METRIC_half and METRIC_seeds of each metric."""
        flat: dict[str, Any] = {"clips": self.clips}
        for name, values in self.metrics.items():
            flat |= {name: values.mean, f"{name}_half": values.half, f"{name}_seeds": list(values.seeds)}
        return flat

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ClipsRow:
        """Return what `as_json` gave these values."""
        names = [key.removesuffix("_half") for key in values if key.endswith("_half")]
        metrics = {
            name: MeanOverSeeds(values[name], values[f"{name}_half"], tuple(values[f"{name}_seeds"])) for name in names
        }
        return cls(values["clips"], metrics)


@dataclass(frozen=True)
class ClipsTraining:
    """One training of the study of clips and its scores; `probe_auc` is None without a probe."""

    clips: int
    seed: int
    steps: int
    recall_at_1: float
    probe_auc: float | None
    idf1: float
    mota: float
    idsw: int
    embedder: str
    benchmark: str
    mlflow_run_id: str

    def as_json(self) -> Mapping[str, Any]:
        """Return the values that are known."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ClipsTraining:
        """Return what `as_json` gave these values."""
        return cls(**{"probe_auc": None, **values})


@dataclass(frozen=True)
class ClipsStudy:
    """Scores against the number of training clips; `trainings` holds every training, `published` the paper's table."""

    protocol: str
    rows: tuple[Annotated[ClipsRow, BeforeValidator(ClipsRow.of)], ...]
    trainings: tuple[Annotated[ClipsTraining, BeforeValidator(ClipsTraining.of)], ...]
    published: tuple[Annotated[PublishedRow, BeforeValidator(PublishedRow.of)], ...]
    table: Cells
    notes: tuple[str, ...]


_AUC_KEYS = ("auc", "auc_low", "auc_high", "probe_auc", "probe_auc_low", "probe_auc_high")


@dataclass(frozen=True)
class FeatureRow:
    """One feature over all sequences.

    Attributes:
        name: in tables.
        embedder: as the settings name it.
        auc: by labels and of the probe, each with the ends of its interval; None if not measured.
    """

    name: str
    embedder: str
    digest: str
    auc: dict[str, float | None]
    scored: Scored

    def as_json(self) -> Mapping[str, Any]:
        """Return the AUC and the scores flat."""
        named = {"name": self.name, "embedder": self.embedder, "digest": self.digest}
        return {**named, **self.auc, **self.scored.as_json()}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FeatureRow:
        """Return what `as_json` gave these values."""
        auc = {key: values[key] for key in _AUC_KEYS}
        return cls(values["name"], values["embedder"], values["digest"], auc, Scored.of(values))


@dataclass(frozen=True)
class FeatureOnSequence:
    """A feature on one sequence: AUC by labels and of the probe, None if not measured, and the tracker's scores."""

    scored: Scored
    auc: float | None
    probe_auc: float | None

    def as_json(self) -> Mapping[str, Any]:
        """Return the scores, then the AUC."""
        return {**self.scored.as_json(), "auc": self.auc, "probe_auc": self.probe_auc}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FeatureOnSequence:
        """Return what `as_json` gave these values."""
        return cls(Scored.of(values), values["auc"], values["probe_auc"])


@dataclass(frozen=True)
class FeaturesStudy:
    """Features on the same detections.

    Attributes:
        sequences: feature → sequence → AUC and scores.
        rank_correlation: pair of measures → Spearman's coefficient over the features; None of too few.
    """

    protocol: str
    rows: tuple[Annotated[FeatureRow, BeforeValidator(FeatureRow.of)], ...]
    sequences: dict[str, dict[str, Annotated[FeatureOnSequence, BeforeValidator(FeatureOnSequence.of)]]]
    rank_correlation: dict[str, float | None]
    table: Cells
    benchmarks: dict[str, str]
    runs: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ChosenRow:
    """Scores of default or chosen settings, on the sequences chosen on or those reported on.

    Attributes:
        which: "chosen on" or "reported on".
        settings: name of the settings.
    """

    which: str
    split: str
    settings: str
    scored: Scored
    column: str = "settings"
    """Key of `settings` in JSON."""

    def as_json(self) -> Mapping[str, Any]:
        """Return the scores flat."""
        return {"which": self.which, "split": self.split, self.column: self.settings, **self.scored.as_json()}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ChosenRow:
        """Return what `as_json` gave these values."""
        column = "constants" if "constants" in values else "settings"
        return cls(values["which"], values["split"], values[column], Scored.of(values), column)


@dataclass(frozen=True)
class SweptPoint:
    """A point of the sweep: parameter → value, and its scores."""

    values: dict[str, float]
    idf1: float
    mota: float
    idsw: int

    def as_json(self) -> Mapping[str, Any]:
        """Return the parameters beside the scores."""
        return {**self.values, "idf1": self.idf1, "mota": self.mota, "idsw": self.idsw}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SweptPoint:
        """Return what `as_json` gave these values."""
        scores = {key: values[key] for key in ("idf1", "mota", "idsw")}
        return cls({key: value for key, value in values.items() if key not in scores}, **scores)


@dataclass(frozen=True)
class SweptTraining:
    """A training of the sweep over margin and scale, scored on the split that was chosen on."""

    training: str
    margin: float
    scale: float
    embedder: str
    scored: Scored
    recall_at_1: float | None
    probe_auc: float | None

    def as_json(self) -> Mapping[str, Any]:
        """Return the scores flat."""
        named = {"training": self.training, "margin": self.margin, "scale": self.scale, "embedder": self.embedder}
        return {**named, **self.scored.as_json(), "recall_at_1": self.recall_at_1, "probe_auc": self.probe_auc}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SweptTraining:
        """Return what `as_json` gave these values."""
        own = {key: values[key] for key in ("training", "margin", "scale", "embedder", "recall_at_1", "probe_auc")}
        return cls(**own, scored=Scored.of(values))


@dataclass(frozen=True)
class ThresholdsStudy:
    """The best point of a grid on one split, reported on another; `chosen`: parameter → value."""

    protocol: str
    metric: str
    chosen: dict[str, float]
    rows: tuple[Annotated[ChosenRow, BeforeValidator(ChosenRow.of)], ...]
    points: tuple[Annotated[SweptPoint, BeforeValidator(SweptPoint.of)], ...]
    trainings: tuple[Annotated[SweptTraining, BeforeValidator(SweptTraining.of)], ...]
    table: Cells
    runs: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TuningStudy:
    """Settings tuned on one set of sequences, reported on another.

    Attributes:
        trials: how many were made.
        best_value: of the metric on the sequences chosen on.
        chosen: setting → value.
        importance: setting → share of the variance of the score.
        settings_table: the same as it is shown.
        settings_file: relative to the workspace.
    """

    protocol: str
    metric: str
    trials: int
    best_value: float
    chosen: dict[str, bool | int | float | str | None]
    importance: dict[str, float]
    rows: tuple[Annotated[ChosenRow, BeforeValidator(ChosenRow.of)], ...]
    settings_table: Cells
    settings_file: str
    table: Cells
    runs: dict[str, str]
    notes: tuple[str, ...]
