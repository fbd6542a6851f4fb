"""`ssat evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, print_json
from ssat.errors import InputError
from ssat.file_names import BENCHMARK_RESULT

if TYPE_CHECKING:
    from ssat.mot.score_values import Scores
    from ssat.pipeline.settings import BenchmarkSettings


@click.command(
    epilog="Example: ssat evaluate --gt MOT17/train --results my-tracker --protocol motchallenge --split val-half"
)
@common_options
@click.option("--gt", help="Folder of SEQ/seqinfo.ini (name, seqLength) and SEQ/gt/gt.txt, one of them, or KITTI.")
@click.option("--results", help="Folder of SEQ.txt or data/SEQ.txt; by default the workspace's latest benchmark.")
@click.option("--protocol", type=click.Choice(["centertrack-half", "motchallenge"]), help="[default: centertrack-half]")
@click.option("--split", type=click.Choice(["train", "val-half"]), help="Frames that count.  [default: train]")
@click.option("--sequences", multiple=True, help="Only these sequences, or patterns; by default all (may be repeated).")
@click.option(
    "--submission",
    type=click.Path(path_type=Path),
    help="Check a zip for the server of MOTChallenge; nothing is scored.",
)
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    gt: str | None,
    results: str | None,
    protocol: str | None,
    split: str | None,
    sequences: tuple[str, ...],
    submission: Path | None,
) -> None:
    """Score result files against MOTChallenge ground truth.

    Files are in MOTChallenge form: frame, id, left, top, width, height, score, and up to three more columns; for KITTI
    tracking also in its own form.
    Protocol, split and sequences may also stand in the section [benchmark] of the configuration file.
    """
    if submission is not None:
        _check_submission(submission, as_json)
        return
    if gt is None:
        raise InputError("--gt is missing: the folder of the ground truth; or --submission ZIP to check one")
    from rich.console import Console

    from ssat.pipeline.settings import BenchmarkSettings
    from ssat.report.tables import score_table

    chosen = {"mot": gt, "protocol": protocol, "split": split, "sequences": list(sequences) or None}
    # The whole sequence, unless something else is asked for: result files usually cover it.
    defaults: dict[str, Any] = {} if config else {"split": "train"}
    given = defaults | {key: value for key, value in chosen.items() if value is not None}
    settings = build_settings(BenchmarkSettings, config=config, preset=None, given=given)
    folder = Path(results).expanduser() if results else _latest_benchmark(Path(workspace))
    answer = evaluate(settings, folder)
    title = f"{folder}, split {settings.split}, protocol {settings.protocol}"
    rows = {name: scores.to_dict() for name, scores in answer.sequences.items()}
    rows |= {f"all {name}": scores.to_dict() for name, scores in answer.detectors.items()}
    Console(stderr=as_json).print(score_table(rows, answer.overall.to_dict(), title))
    for note in answer.notes:
        click.echo(f"Note: {note}", err=True)
    if as_json:
        print_json(answer)


def _check_submission(path: Path, as_json: bool) -> None:
    """Print what the server would say; exit code 2 if it would refuse the zip."""
    from dataclasses import asdict

    from ssat.mot.submission import check_submission

    found = check_submission(path.expanduser())
    for kind, texts in (("fault", found.faults), ("warning", found.warnings)):
        for text in texts:
            click.echo(f"{kind}: {text}", err=as_json)
    if as_json:
        print_json(asdict(found))
    if found.faults:
        raise InputError(f"{path}: {len(found.faults)} faults; the server would not score it")
    click.echo(f"{path}: results for the test sequences of {found.benchmark}, without fault", err=as_json)


@dataclass(frozen=True)
class Evaluation:
    """Scores of result files.

    Attributes:
        sequences: name → scores.
        detectors: public ones of MOT17, where there are several.
        overall: of all sequences together.
        notes: about boxes that were counted otherwise than their tracker may have meant.
    """

    sequences: dict[str, Scores]
    detectors: dict[str, Scores]
    overall: Scores
    protocol: str
    split: str
    notes: tuple[str, ...]


def evaluate(settings: BenchmarkSettings, results: Path) -> Evaluation:
    """Score `results` against the ground truth that `settings.mot` names.

    Raises:
        InputError: ground truth or results that are missing or do not fit.
    """
    from ssat.mot.find import find_sequences
    from ssat.mot.kitti import is_kitti, read_kitti_results
    from ssat.mot.rows import n_empty_boxes, read_results
    from ssat.mot.scores import Scoring, ToScore
    from ssat.mot.sequence import by_public_detector
    from ssat.mot.splits import split_frames
    from tasks.services import available_cpus

    if not results.is_dir():
        raise InputError(f"{results}: no such folder; expected result files SEQ.txt")
    to_score, notes = {}, []
    found = find_sequences(Path(settings.mot).expanduser(), settings.sequences, only_to_score=True)
    results = _folder_of_files(results, [sequence.name for sequence in found])
    missing = [sequence.name for sequence in found if not (results / f"{sequence.name}.txt").is_file()]
    if missing:
        raise InputError(
            f"{results}: no result file for {', '.join(missing)}; expected SEQ.txt, "
            "or name the sequences to score with --sequences"
        )
    for sequence in found:
        path = results / f"{sequence.name}.txt"
        if sequence.rules == "kitti" and is_kitti(path):
            rows = read_kitti_results(path, sequence.n_frames)
        else:
            rows = read_results(path, sequence.n_frames, keep_empty_boxes=True)
        if empty := n_empty_boxes(rows):
            notes.append(f"{path}: {empty} of {len(rows)} boxes have no extent and count as false positives")
        to_score[sequence.name] = ToScore(
            sequence.ground_truth(),
            rows,
            split_frames(sequence.n_frames, settings.split),
            sequence.rules,
        )
    scoring = Scoring(to_score, settings.protocol, available_cpus())
    groups = by_public_detector(to_score)
    return Evaluation(
        sequences={name: scoring.over(name) for name in to_score},
        detectors={detector: scoring.over(*names) for detector, names in groups.items()},
        overall=scoring.over(),
        protocol=settings.protocol,
        split=settings.split,
        notes=tuple(notes),
    )


def _folder_of_files(folder: Path, names: list[str]) -> Path:
    """Return where the files SEQ.txt lie: in `folder`, or in its folder `data` as TrackEval lays results out.

    Raises:
        InputError: the folder holds several trackers; names them.
    """
    if any((folder / f"{name}.txt").is_file() for name in names):
        return folder
    if (folder / "data").is_dir():
        return folder / "data"
    trackers = sorted(path.parent.name for path in folder.glob("*/data") if path.is_dir())
    if trackers:
        raise InputError(
            f"{folder}: holds the results of {len(trackers)} trackers ({', '.join(trackers[:5])}), expected those of "
            f"one; name its folder, such as {folder / trackers[0]}"
        )
    return folder


def _latest_benchmark(workspace: Path) -> Path:

    done = sorted(workspace.glob(f"benchmark/*/{BENCHMARK_RESULT}"), key=lambda path: path.stat().st_mtime_ns)
    if not done:
        raise InputError(f"workspace {workspace}: no finished benchmark; name a folder of result files with --results")
    return done[-1].parent
