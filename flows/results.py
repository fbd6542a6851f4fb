"""docs/results.md and docs/gallery.md: every study on the evaluation data, and pictures, by `make results`.

    python -m flows.results --data DIR [--workspace DIR] [--only 'features*']

DIR is laid out as `SSAT_REAL_DATA` is: `mot/` with MOTChallenge sequences, `clips/trimmed/` with training clips. Prose
of the pages is kept; tables and figures are replaced. What was done before is not done again. No frame or crop of the
data is written into the pages. The gallery needs no data: `--only gallery` draws it alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli import prepare_environment
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.markdown import fill_page, markdown_table

if TYPE_CHECKING:
    from ssat.studies.results import FeaturesStudy
    from tasks.study import StudyResult

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_PROTOCOL = "motchallenge"
_LABEL_ONLY = tuple(f"MOT17-{number}-FRCNN" for number in ("02", "04", "05", "10", "13"))
# Name in the page → what is tracked.
_DATA: dict[str, dict[str, Any]] = {
    "mot17-09": {"mot": "MOT17/train", "sequences": ("MOT17-09-FRCNN",)},
    "mot17-09-yolox": {
        "mot": "MOT17/train",
        "sequences": ("MOT17-09-FRCNN",),
        "detections": "det_yolox.txt",
        "min_score": 0.6,
    },
    "tud": {"mot": "2DMOT2015/train", "split": "train"},
    "mot16-09": {"mot": "MOT16/train", "split": "train", "min_score": 0.0},
    "label-only": {"mot": "MOT17/train", "sequences": _LABEL_ONLY},
}
_FEATURE_DATA = ("mot17-09", "mot17-09-yolox", "tud", "mot16-09")
_COLOUR_SEEDS = (0, 1, 2)
_BOX_ONLY = ("box", "centertrack", "sort", "bytetrack", "oc-sort")
# A study of the number of clips, small enough for two cores.
CLIPS = {"clips": (40, 80, 144), "seeds": (0, 1, 2), "same_steps": True}
CLIPS_TRAIN = {
    "crop": 48,
    "short_side": 55,
    "early_crop": None,
    "early_epochs": 0,
    "frames_per_clip": 16,
    "epochs": 4,
    "workers": 1,
    "evaluate_every": 100,
}


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")))
    parser.add_argument("--workspace", default="workspace/results")
    parser.add_argument("--embedder", help="instead of one that is trained on the clips of the data")
    parser.add_argument(
        "--colours", action="append", help="file of learned colours, instead of three seeds learned from these clips"
    )
    parser.add_argument("--only", default="*", help="tables whose name matches this pattern, such as 'features*'")
    options = parser.parse_args()
    if fnmatch("gallery", options.only):
        _draw_gallery(Path(options.workspace) / "gallery")
        if options.only == "gallery":
            return
    data = options.data.expanduser().resolve()
    if not (data / "mot").is_dir():
        raise SystemExit(f"no evaluation data at {data}: set SSAT_REAL_DATA, or give --data DIR (DIR/mot, DIR/clips)")
    prepare_environment()

    from ssat.workspace import Workspace
    from tasks.services import services

    place = Workspace.open(options.workspace)
    with services(place, ray=True, mlflow=True):
        embedder = options.embedder or _trained(place, data)
        # After each study, so that finished studies are on the page even if a later one fails.
        for name, result in _studies(place, data, embedder, options.only):
            _write(place, name, result)
        if _features_wanted(options.only):
            colours = options.colours or [str(path) for path in _learned_colours(place, data)]
            results = {}
            for name, result in _features(place, data, embedder, colours, options.only):
                results[name] = result.content
                _write(place, name, result)
            if len(results) == len(_FEATURE_DATA):
                fill_page(_DOCS / "results.md", {"features": _over_all(list(results.values()))})


def _draw_gallery(work: Path) -> None:
    from ssat.demo.gallery import draw_gallery

    fill_page(_DOCS / "gallery.md", draw_gallery(_DOCS / "images", work))


def _trained(place: Any, data: Path) -> str:
    """Return the quick preset on the clips of the data: collected, decoded, trained, as far as that is missing."""
    from flows.stage_flow import run_stage
    from flows.stages.run import STAGE as RUN
    from flows.stages.run import RunBundle, RunSettings
    from ssat.clips.settings import CollectSettings
    from ssat.embedding.settings import TrainSettings
    from ssat.frames.settings import DecodeSettings

    bundle = RunBundle(
        RunSettings(benchmark=False),
        CollectSettings.build("quick", {"source": str(data / "clips" / "trimmed")}),
        DecodeSettings.build("quick"),
        TrainSettings.build("quick", {"colours": False}),
        None,
    )
    result = run_stage(RUN, str(place.root), bundle)
    return str(place.absolute(result.train.embedder))


def _learned_colours(place: Any, data: Path) -> Iterator[Path]:
    """Yield colours learned from the clips of the data with each seed."""
    from flows.stage_flow import run_stage
    from flows.stages.collect import STAGE as COLLECT
    from flows.stages.colours import STAGE as COLOURS
    from ssat.clips.settings import CollectSettings
    from ssat.patches.settings import ColoursSettings

    run_stage(COLLECT, str(place.root), CollectSettings.build("quick", {"source": str(data / "clips" / "trimmed")}))
    for seed in _COLOUR_SEEDS:
        result = run_stage(COLOURS, str(place.root), ColoursSettings(seed=seed))
        yield place.absolute(result.embedder)


def _features_wanted(only: str) -> bool:
    return any(fnmatch(f"features-{name}", only) for name in _FEATURE_DATA)


def _features(
    place: Any, data: Path, embedder: str, colours: Sequence[str], only: str
) -> Iterator[tuple[str, StudyResult[FeaturesStudy]]]:
    """Yield the study of features on each data set, under the names that the page uses."""
    from flows.stage_flow import run_stage
    from flows.stages.studies import FEATURES, FeaturesBundle
    from ssat.studies.settings import FeaturesStudySettings

    learned = [("network", embedder), *((f"colours-seed{seed}", path) for seed, path in enumerate(colours))]
    folder = place.root / "features"
    folder.mkdir(exist_ok=True)
    named = ["colour", "untrained", "imagenet"]
    for name, path in learned:
        link = folder / f"{name}.safetensors"
        link.unlink(missing_ok=True)
        link.symlink_to(Path(path).expanduser().resolve())
        named += [str(link), f"0.5*colour+0.5*{link}"]
    settings = FeaturesStudySettings(embedder=tuple(named))
    for name in _FEATURE_DATA:
        if not fnmatch(f"features-{name}", only):
            continue
        # Alpha 1 and no motion: the feature decides.
        benchmark = _benchmark(data, "colour", _DATA[name], preset="quick")
        yield f"features-{name}", run_stage(FEATURES, str(place.root), FeaturesBundle(settings, benchmark))


def _over_all(results: Sequence[FeaturesStudy]) -> str:
    """Return the mean over all sequences of all data sets, each sequence counted once, as a table."""
    rows = []
    for feature in results[0].sequences:
        measured = [on_sequence for result in results for on_sequence in result.sequences[feature].values()]
        scores = [on_sequence.scored.scores for on_sequence in measured if on_sequence.scored.scores is not None]
        rows.append(
            {
                "feature": feature,
                "mean AUC by labels": _mean([on_sequence.auc for on_sequence in measured], 3),
                "mean probe AUC": _mean([on_sequence.probe_auc for on_sequence in measured], 3),
                "mean IDF1": _mean([100 * score.idf1 for score in scores], 1),
            }
        )
    return markdown_table(rows)


def _mean(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.{digits}f}" if known else "–"


def _studies(place: Any, data: Path, embedder: str, only: str) -> Iterator[tuple[str, StudyResult[Any]]]:
    """Yield each study's name on the page, and its result; of those whose name matches `only`."""
    from flows.stage_flow import run_stage
    from flows.stages import studies
    from ssat.embedding.settings import TrainSettings
    from ssat.studies.settings import ClipsStudySettings, ThresholdsStudySettings, TrackersStudySettings

    root = str(place.root)
    benchmarks = {name: _benchmark(data, embedder, values) for name, values in _DATA.items()}
    mot17_09 = str(data / "mot" / "MOT17" / "train" / "MOT17-09-FRCNN")
    all_trackers = TrackersStudySettings.build(None, {"unlabelled": [mot17_09], "tracklets": {"split": "train-half"}})
    box_only = TrackersStudySettings(trackers=_BOX_ONLY)
    for name in _FEATURE_DATA:
        if fnmatch(f"extensions-{name}", only):
            yield f"extensions-{name}", run_stage(studies.EXTENSIONS, root, benchmarks[name])
    for name in ("mot17-09", "tud", "mot16-09"):
        if fnmatch(f"trackers-{name}", only):
            bundle = studies.TrackersBundle(all_trackers, benchmarks[name])
            yield f"trackers-{name}", run_stage(studies.TRACKERS, root, bundle)
    if fnmatch("trackers-label-only", only):
        bundle = studies.TrackersBundle(box_only, benchmarks["label-only"])
        yield "trackers-label-only", run_stage(studies.TRACKERS, root, bundle)
    thresholds = ThresholdsStudySettings(choose_mot=str(data / "mot" / "MOT16" / "train"), choose_min_score=0.0)
    if fnmatch("thresholds", only):
        of_thresholds = studies.ThresholdsBundle(thresholds, TrainSettings(), benchmarks["mot17-09"])
        yield "thresholds", run_stage(studies.THRESHOLDS, root, of_thresholds)
    clips, train = ClipsStudySettings(**CLIPS), TrainSettings.build("quick", CLIPS_TRAIN)
    if fnmatch("clips", only):
        of_clips = studies.ClipsBundle(clips, train, benchmarks["mot17-09"])
        yield "clips", run_stage(studies.CLIPS, root, of_clips)


def _benchmark(data: Path, embedder: str, values: dict[str, Any], preset: str | None = None) -> BenchmarkSettings:
    return BenchmarkSettings.build(
        preset,
        {
            **values,
            "mot": str(data / "mot" / values["mot"]),
            "protocol": _PROTOCOL,
            "embedder": embedder,
            "video": False,
        },
    )


def _write(place: Any, name: str, result: StudyResult[Any]) -> None:
    images = _DOCS / "images"
    images.mkdir(exist_ok=True)
    # Speed is left out: the machine may be busy with other work.
    parts = [markdown_table([{key: row[key] for key in row if key != "fps"} for row in result.content.table])]
    for figure in _plots(result.figures):
        target = images / f"results-{name}-{figure.name}"
        shutil.copyfile(place.absolute(str(figure)), target)
        parts.append(f"![{figure.stem}, {name}](images/{target.name})")
    fill_page(_DOCS / "results.md", {name: "\n\n".join(parts)})


def _plots(figures: Sequence[str]) -> list[Path]:
    """Return plots alone: pictures of worst moments show frames of the data, which are not ours to publish."""
    kept = ("scores.png", "clips.png", "surfaces.png")
    return [path for path in map(Path, figures) if path.name in kept]


if __name__ == "__main__":
    main()
