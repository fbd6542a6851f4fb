"""The studies on generated input, on a real Prefect server, Ray and MLflow."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.stage_flow import run_stage
from flows.stages.studies import (
    CLIPS,
    EXTENSIONS,
    FEATURES,
    STRONG,
    THRESHOLDS,
    TRACKERS,
    ClipsBundle,
    FeaturesBundle,
    ThresholdsBundle,
    TrackersBundle,
)
from flows.stages.tune import STAGE as TUNE
from flows.stages.tune import TuneBundle
from ssat.embedding.embedder import Embedder
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.store import FrameStore
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.settings import (
    ClipsStudySettings,
    FeaturesStudySettings,
    ThresholdsStudySettings,
    TrackersStudySettings,
    TuneSettings,
)
from ssat.tracking.config import TrackerConfig
from ssat.workspace import Workspace
from tasks.services import mlflow_tracking_uri, services
from tests.ssat.frames.conftest import small_clips, small_store

__all__ = ["small_clips", "small_store"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect_server", "ray_cluster")]

TRAIN = TrainSettings(
    architecture="resnet18",
    crop=32,
    short_side=36,
    held_out_clips=2,
    frames_per_clip=8,
    batch_size=16,
    epochs=1,
    workers=1,
    device="cpu",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    workspace = Workspace.open(tmp_path_factory.mktemp("studies"))
    with services(workspace, ray=True, mlflow=True):
        yield workspace


@pytest.fixture
def benchmark(make_sequence: Callable[..., Path], tmp_path: Path) -> BenchmarkSettings:
    make_sequence(tmp_path / "MOT", "WALK-01")
    Embedder.untrained("resnet18", input_size=32).save(tmp_path / "embedder.safetensors")
    return BenchmarkSettings(
        mot=str(tmp_path / "MOT"),
        split="train",
        embedder=str(tmp_path / "embedder.safetensors"),
        protocol="motchallenge",
    )


def _children(workspace: Workspace, parent: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_tracking_uri(workspace))
    experiment = client.get_experiment_by_name("ssat-study").experiment_id
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert client.get_run(parent).info.status == "FINISHED"
    return {run.info.run_name: run for run in runs}


def test_the_preset_strong_without_each_ingredient(place: Workspace, benchmark: BenchmarkSettings) -> None:
    from flows.studies.strong import FILLED, FURTHER, INGREDIENTS

    changes = {"association": TrackerConfig.strong(), "embedder": "colour", "interpolate_seconds": 1.0}
    strong = benchmark.model_copy(update=changes)
    result = run_stage(STRONG, str(place.root), strong)
    names = ["paper", "quick", "strong", *(f"strong without {name}" for name in INGREDIENTS)]
    names += [*(f"strong with {name}" for name in FURTHER), FILLED]
    assert [row.name for row in result.content.rows] == names
    assert {row.scored.scores.gt_dets for row in result.content.rows} == {36}
    given = {name: run.data.params for name, run in _children(place, result.mlflow_run_id).items()}
    assert given["strong"]["association.confirm_hits"] == "3"
    assert "association.confirm_hits" not in given["strong without confirmation"]
    assert given["strong without motion"]["association.motion"] == "none"
    assert given["quick"]["association.alpha"] == "1.0"
    filled = {name for name, params in given.items() if params["interpolate_seconds"] != "0.0"}
    assert filled == {FILLED}


def test_extensions_and_trackers(place: Workspace, benchmark: BenchmarkSettings) -> None:

    result = run_stage(EXTENSIONS, str(place.root), benchmark)
    assert [row.name for row in result.content.rows] == ["SSAT", "+ box term", "+ box term + accumulation"]
    assert [row.scored.scores.gt_dets for row in result.content.rows] == [36, 36, 36]
    children = _children(place, result.mlflow_run_id)
    assert set(children) == {row.name for row in result.content.rows}
    assert children["SSAT"].data.params["association.box_term"] == "false"
    assert children["SSAT"].data.metrics["idf1"] == pytest.approx(result.content.rows[0].scored.scores.idf1)
    page = place.absolute(result.report).read_text()
    assert "Published: Table 3" in page
    assert "identity switches over time" in page
    assert run_stage(EXTENSIONS, str(place.root), benchmark) == replace(result, reused=True)

    # Interrupted before the end: only the benchmark that is gone is done again.
    for gone in (place.absolute(result.folder), place.absolute(result.content.benchmarks["SSAT"])):
        shutil.rmtree(gone)
    again = run_stage(EXTENSIONS, str(place.root), benchmark)
    assert (again.content.rows[0].scored.scores.idf1, again.reused) == (
        result.content.rows[0].scored.scores.idf1,
        False,
    )
    reused = {name: run.data.tags["reused"] for name, run in _children(place, again.mlflow_run_id).items()}
    assert reused == {"SSAT": "false", "+ box term": "true", "+ box term + accumulation": "true"}

    tracklets = {"crop": 32, "min_frames": 4, "max_frames": 6, "epochs": 1, "batch_size": 8}
    settings = TrackersStudySettings.build(
        None,
        {
            "trackers": ["ssat", "centertrack", "tracklets", "sort", "strong-box"],
            "unlabelled": [benchmark.mot],
            "tracklets": tracklets,
        },
    )
    result = run_stage(TRACKERS, str(place.root), TrackersBundle(settings, benchmark))
    assert [row.name for row in result.content.rows] == [
        "SSAT",
        "CenterTrack's association",
        "tracklet pseudo-labels",
        "SORT",
        "preset strong, boxes alone",
    ]
    assert all(row.frames_per_cpu_second > 100 for row in result.content.rows)
    assert [row["frames/CPU-s"] for row in result.content.table] == [
        f"{row.frames_per_cpu_second:,.0f}" for row in result.content.rows
    ]
    assert "train on tracklets" in _children(place, result.mlflow_run_id)
    assert any("does not claim" in note for note in result.content.notes)
    page = place.absolute(result.report).read_text()
    assert "UnsuperTrack" in page
    assert "Published: Table 1" in page


def test_strong_by_boxes_alone_where_there_are_no_frames(
    place: Workspace, make_sequence: Callable[..., Path], tmp_path: Path
) -> None:

    make_sequence(tmp_path / "MOT", "WALK-02", images=False)
    benchmark = BenchmarkSettings(mot=str(tmp_path / "MOT"), split="train", protocol="motchallenge")
    result = run_stage(
        TRACKERS, str(place.root), TrackersBundle(TrackersStudySettings(trackers=("strong-box", "box")), benchmark)
    )
    assert [row.name for row in result.content.rows] == ["preset strong, boxes alone", "box term alone"]
    assert any("without camera motion" in note for note in result.content.notes)


def test_features_by_labels_by_the_probe_and_in_the_tracker(place: Workspace, benchmark: BenchmarkSettings) -> None:

    names = ("colour", "untrained", f"0.5*colour+0.5*{benchmark.embedder}")
    settings = FeaturesStudySettings(embedder=names, gap_seconds=0.1, probe_gaps_seconds=(0.1,))
    with pytest.raises(InputError, match="refine closed-loop"):
        run_stage(
            FEATURES, str(place.root), FeaturesBundle(settings, benchmark.model_copy(update={"refine": "closed-loop"}))
        )
    result = run_stage(FEATURES, str(place.root), FeaturesBundle(settings, benchmark))
    assert [row.name for row in result.content.rows] == ["colour", "untrained", "0.5*colour+0.5*embedder.safetensors"]
    colour = result.content.rows[0]
    # Figures of one coat each.
    assert (colour.auc["auc"], colour.auc["probe_auc"], colour.scored.scores.gt_dets) == (1.0, 1.0, 36)
    assert result.content.sequences["colour"]["WALK-01"].auc == 1.0
    assert result.content.table[0]["probe AUC"] == "1.000 (1.000–1.000)"
    assert result.content.table[1]["difference to colour"] != "–"
    assert result.content.rank_correlation["probe_auc and auc"] is None  # of three features
    children = _children(place, result.mlflow_run_id)
    assert set(children) == {row.name for row in result.content.rows}
    assert children["colour"].data.metrics["probe_auc"] == 1.0
    assert children["colour"].data.metrics["idf1"] == pytest.approx(colour.scored.scores.idf1)
    assert run_stage(FEATURES, str(place.root), FeaturesBundle(settings, benchmark)) == replace(result, reused=True)
    # Interrupted, and the cache of features emptied meanwhile: the same numbers again.
    shutil.rmtree(place.absolute(result.folder))
    shutil.rmtree(place.cache / "features")
    again = run_stage(FEATURES, str(place.root), FeaturesBundle(settings, benchmark))
    assert (again.content.rows, again.reused) == (result.content.rows, False)
    reused = {run.data.tags["reused"] for run in _children(place, again.mlflow_run_id).values()}
    assert reused == {"true"}


def test_thresholds_are_chosen_on_one_split_and_reported_on_another(
    place: Workspace, benchmark: BenchmarkSettings
) -> None:

    same = ThresholdsStudySettings(tau1=(0.4, 0.56), tau2=(0.64,), alpha=(1.0, 2.0), beta=(0.4,), choose_split="train")
    with pytest.raises(InputError, match="is also reported on"):
        run_stage(THRESHOLDS, str(place.root), ThresholdsBundle(same, TRAIN, benchmark))
    settings = same.model_copy(update={"choose_split": "train-half"})
    result = run_stage(
        THRESHOLDS,
        str(place.root),
        ThresholdsBundle(settings, TRAIN, benchmark.model_copy(update={"split": "val-half"})),
    )
    assert [row.split for row in result.content.rows] == ["train-half", "val-half", "train-half", "val-half"]
    assert len(result.content.points) == 4
    # The sweep on Ray and the benchmark are two ways to the same number.
    (point,) = [row for row in result.content.points if row.values == result.content.chosen]
    tuned = next(row for row in result.content.rows if (row.which, row.settings) == ("chosen on", "chosen constants"))
    assert point.idf1 == pytest.approx(tuned.scored.scores.idf1)
    assert point.idf1 == max(row.idf1 for row in result.content.points)
    assert any("surfaces.png" in path for path in result.figures)


def test_the_strong_preset_is_tuned_on_one_set_and_reported_on_another(
    place: Workspace, benchmark: BenchmarkSettings
) -> None:
    from flows.tune import TRIALS_FILE

    strong = benchmark.model_copy(update={"association": TrackerConfig.strong(), "embedder": "colour"})
    settings = TuneSettings(
        train=benchmark.mot, report=benchmark.mot, train_split="train-half", report_split="val-half", trials=3
    )
    with pytest.raises(InputError, match="share frames"):
        run_stage(TUNE, str(place.root), TuneBundle(settings.model_copy(update={"report_split": "train"}), strong))
    result = run_stage(TUNE, str(place.root), TuneBundle(settings, strong))
    assert [(row.which, row.split, row.settings) for row in result.content.rows] == [
        ("chosen on", "train-half", "default settings"),
        ("reported on", "val-half", "default settings"),
        ("chosen on", "train-half", "tuned settings"),
        ("reported on", "val-half", "tuned settings"),
    ]
    # A trial and the benchmark are two ways to the same number, camera motion included.
    assert result.content.best_value == pytest.approx(result.content.rows[2].scored.scores.idf1)
    assert result.content.best_value >= result.content.rows[0].scored.scores.idf1
    assert _children(place, result.mlflow_run_id)["tuned settings, reported on"].data.metrics["idf1"] == (
        pytest.approx(result.content.rows[3].scored.scores.idf1)
    )
    assert (place.absolute(result.folder) / TRIALS_FILE).is_file()
    assert place.absolute(result.content.settings_file).read_text().count("[track.association]") == 1
    assert run_stage(TUNE, str(place.root), TuneBundle(settings, strong)) == replace(result, reused=True)
    # More trials go on with the earlier ones.
    more = run_stage(TUNE, str(place.root), TuneBundle(settings.model_copy(update={"trials": 4}), strong))
    assert (more.folder, more.content.trials, more.reused) == (result.folder, 4, False)


def test_clips_trains_what_is_missing(place: Workspace, benchmark: BenchmarkSettings, small_store: FrameStore) -> None:

    shutil.copytree(small_store.folder, place.frames)
    settings = ClipsStudySettings(clips=(2, 4), seeds=(0,), same_steps=True, warm=True)
    with pytest.raises(InputError, match="more than the"):
        run_stage(
            CLIPS, str(place.root), ClipsBundle(settings.model_copy(update={"clips": (2, 999)}), TRAIN, benchmark)
        )
    result = run_stage(CLIPS, str(place.root), ClipsBundle(settings, TRAIN, benchmark))
    assert [(row.clips, row.seed, row.steps) for row in result.content.trainings] == [(2, 0, 2), (4, 0, 2)]
    warm = json.loads((place.absolute(result.content.trainings[1].embedder).parent / "result.json").read_text())
    assert warm["settings"]["warm_start"] == str(place.absolute(result.content.trainings[0].embedder).parent)
    # A further seed trains what it misses and nothing else: the 2 clips of seed 0 have had their 2 epochs.
    before = {path: path.stat().st_mtime_ns for path in place.training.glob("*/result.json")}
    wider = settings.model_copy(update={"clips": (2,), "seeds": (0, 1)})
    more = run_stage(CLIPS, str(place.root), ClipsBundle(wider, TRAIN.model_copy(update={"epochs": 2}), benchmark))
    assert [(row.clips, row.seed) for row in more.content.trainings] == [(2, 0), (2, 1)]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(place.training.glob("*/result.json"))) == len(before) + 1
    assert [len(row.metrics["idf1"].seeds) for row in more.content.rows] == [2]
    assert len(_children(place, more.mlflow_run_id)) == 2
