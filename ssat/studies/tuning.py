"""Tuning of the preset `strong` with labels (Optuna): search space, overlap of sequences, settings file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssat.errors import InputError
from ssat.pipeline.benchmark_inputs import Prepared, prepare, sequences_of
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.settings import TuneSettings
from ssat.tracking.config import TrackerConfig

if TYPE_CHECKING:
    import optuna

STUDY = "tune"
# Setting → smallest and largest value, and whether the search is on a logarithmic scale.
RANGES: dict[str, tuple[float, float, bool]] = {
    "tau1": (0.2, 1.0, False),
    "tau2": (0.2, 1.2, False),
    "alpha": (0.1, 4.0, True),
    "beta": (0.02, 1.0, True),
    "lost_seconds": (0.5, 6.0, False),
    "overlap_pass": (0.2, 1.0, False),  # 1: no such pass
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "confirm_hits": (1, 2, 3, 4, 5),
    "motion_gate": (True, False),
    "hold_size": (True, False),
    "calibrate": (True, False),
    "assignment": ("greedy", "mutual", "hungarian"),
    "gallery": (0, 5, 10),
}
TUNED = (*RANGES, *CHOICES)
# MOT16-09, MOT17-09-FRCNN and MOT17-09-DPM are one video.
_MOT_NAME = re.compile(r"MOT1[67]-(\d+)")


@dataclass(frozen=True)
class TunedSequence:
    """A sequence of one side: its name, folder and frames, and the digests of their images."""

    name: str
    folder: Path
    frames: range
    images: frozenset[str]


@dataclass(frozen=True)
class TuningResult:
    """Result of a search.

    Attributes:
        values: score of every complete trial, in the order of the trials.
        best: setting → value of the best trial.
        best_value: its score.
        importance: setting → share of the variance of the score that it explains (fANOVA); empty if all trials
            score the same.
    """

    values: tuple[float, ...]
    best: Mapping[str, Any]
    best_value: float
    importance: Mapping[str, float]


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return the settings that a trial takes."""
    values: dict[str, Any] = {
        name: trial.suggest_float(name, low, high, log=log) for name, (low, high, log) in RANGES.items()
    }
    return values | {name: trial.suggest_categorical(name, choices) for name, choices in CHOICES.items()}


def with_settings(base: TrackerConfig, values: Mapping[str, Any]) -> TrackerConfig:
    """Return `base` with tuned settings; without a motion model nothing that needs one is switched on."""
    without = {"motion_gate": False, "hold_size": False} if base.motion == "none" else {}
    return TrackerConfig.model_validate(base.model_dump() | dict(values) | without)


def search(
    storage: Path,
    base: TrackerConfig,
    objective: Callable[[TrackerConfig], float],
    trials: int,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> TuningResult:
    """Maximise `objective` over the settings (TPE); the first trial is `base`, as far as it lies in the ranges.

    Args:
        storage: SQLite file. Trials that it holds count towards `trials`; an interrupted search continues from there.
        advance: called after every trial, and once for each that was there before.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{storage}"
    study = optuna.create_study(study_name=STUDY, storage=url, direction="maximize", load_if_exists=True)
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    # A sampler does not keep its state: with the first seed again, it would repeat its first trials.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(complete))
    for _ in complete:
        advance()
    if not complete:
        study.enqueue_trial(start_of(base), skip_if_exists=True)
    for _ in range(trials - len(complete)):
        trial = study.ask()
        study.tell(trial, objective(with_settings(base, suggest(trial))))
        advance()
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    values = tuple(float(trial.value) for trial in done if trial.value is not None)
    return TuningResult(values, dict(study.best_params), float(study.best_value), _importance(study, values))


def _importance(study: optuna.Study, values: Sequence[float]) -> dict[str, float]:
    import optuna

    if len(set(values)) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def start_of(base: TrackerConfig) -> dict[str, Any]:
    """Return the tuned settings of `base`, moved to the nearest value of the search space."""
    start: dict[str, Any] = {}
    for name, (low, high, _) in RANGES.items():
        value = getattr(base, name)
        start[name] = high if value is None else min(max(value, low), high)
    for name, choices in CHOICES.items():
        value = getattr(base, name)
        start[name] = value if value in choices else min(choices, key=lambda choice: abs(choice - value))
    return start


def refuse_overlap(train: Sequence[TunedSequence], report: Sequence[TunedSequence]) -> None:
    """Refuse sequences that share frames: their scores would say how well the settings fit, not how good they are.

    Raises:
        InputError: one folder, one MOT16 or MOT17 video, or an image is in both sets with the same frames.
    """
    for chosen in train:
        for other in report:
            same = chosen.folder.resolve() == other.folder.resolve() or _video(chosen.name) == _video(other.name)
            shared = range(max(chosen.frames.start, other.frames.start), min(chosen.frames.stop, other.frames.stop))
            if (same and len(shared)) or chosen.images & other.images:
                raise InputError(
                    f"{chosen.folder}: setting `train` and setting `report` share frames of this sequence and "
                    f"{other.folder}; expected other videos, or other frames by setting `train_split` and setting "
                    "`report_split` (train-half and val-half)"
                )


def _video(name: str) -> str:
    found = _MOT_NAME.match(name)
    return f"MOT video {found[1]}" if found else name


def settings_file(config: TrackerConfig, interpolate_seconds: float, comment: str) -> str:
    """Return a configuration file (TOML) for `ssat track` and `ssat benchmark`: every setting of the association.

    Settings without a value are left out, and so is the median of one embedder.
    """
    values = {name: getattr(config, name) for name in TrackerConfig.model_fields if name != "stored_median"}
    lines = [f"# {line}" for line in comment.splitlines()]
    for section in ("benchmark", "track"):
        lines += ["", f"[{section}]", f"interpolate_seconds = {interpolate_seconds:g}", "", f"[{section}.association]"]
        lines += [f"{name} = {_toml(value)}" for name, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class TuningSide:
    """The sequences that settings are chosen on, or those that they are reported on."""

    settings: BenchmarkSettings
    prepared: list[Prepared]


def tuning_sides(settings: TuneSettings, benchmark: BenchmarkSettings) -> tuple[TuningSide, TuningSide]:
    """Return the benchmarks of the sequences that settings are chosen on and of those that they are reported on.

    Raises:
        InputError: detections that are computed or depend on the tracks, sequences that cannot be tracked, or
            sequences that share frames.
    """
    if benchmark.detector is not None or benchmark.refine != "none":
        raise InputError(
            "settings benchmark.detector and benchmark.refine: tuning takes detections from files; expected setting "
            "`detections`"
        )
    base = benchmark.model_copy(update={"tracker": "ssat", "video": False})
    train = base.model_copy(update={"mot": settings.train, "split": settings.train_split})
    report = base.model_copy(update={"mot": settings.report, "split": settings.report_split})
    for side in (train, report):
        sequences_of(side)  # refuse a folder without sequences before any image is read
    chosen, reported = prepare(train)[0], prepare(report)[0]
    refuse_overlap(*([_identified(entry) for entry in side] for side in (chosen, reported)))
    return TuningSide(train, chosen), TuningSide(report, reported)


def _identified(prepared: Prepared) -> TunedSequence:
    sequence = prepared.sequence
    images = frozenset(sequence.frame_digest(frame) for frame in prepared.frames)
    return TunedSequence(sequence.name, sequence.folder, prepared.frames, images)
