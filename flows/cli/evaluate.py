"""`ssat evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, print_json
from ssat.errors import InputError


@click.command(
    epilog="Example: ssat evaluate --gt MOT17/train --results my-tracker --protocol motchallenge --split val-half"
)
@common_options
@click.option("--gt", required=True, help="Folder of SEQ/seqinfo.ini and SEQ/gt/gt.txt, or one such sequence.")
@click.option("--results", help="Folder of SEQ.txt; by default the workspace's latest benchmark.")
@click.option("--protocol", type=click.Choice(["centertrack-half", "motchallenge"]), help="[default: centertrack-half]")
@click.option("--split", type=click.Choice(["train", "val-half"]), help="Frames that count.  [default: train]")
@click.option("--sequences", multiple=True, help="Only these sequences; by default all (may be repeated).")
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    gt: str,
    results: str | None,
    protocol: str | None,
    split: str | None,
    sequences: tuple[str, ...],
) -> None:
    """Score result files against MOTChallenge ground truth.

    Files are in MOTChallenge form: frame, id, left, top, width, height, score, and up to three more columns.
    Protocol, split and sequences may also stand in the section [benchmark] of the configuration file.
    """
    from rich.console import Console

    from ssat.mot.settings import BenchmarkSettings
    from ssat.report.tables import score_table

    chosen = {"mot": gt, "protocol": protocol, "split": split, "sequences": list(sequences) or None}
    # The whole sequence, unless something else is asked for: result files usually cover it.
    defaults: dict[str, Any] = {} if config else {"split": "train"}
    given = defaults | {key: value for key, value in chosen.items() if value is not None}
    settings = build_settings(BenchmarkSettings, config=config, preset=None, given=given)
    folder = Path(results).expanduser() if results else _latest_benchmark(Path(workspace))
    answer = evaluate(settings, folder)
    title = f"{folder}, split {settings.split}, protocol {settings.protocol}"
    Console(stderr=as_json).print(score_table(answer["sequences"], answer["overall"], title))
    if as_json:
        print_json(answer)


def evaluate(settings: Any, results: Path) -> dict[str, Any]:
    """Scores of `results` against the ground truth that `settings.mot` names: "sequences", "overall", "protocol".

    Raises:
        InputError: ground truth or results that are missing or do not fit.
    """
    from ssat.mot.rows import read_results
    from ssat.mot.scores import ToScore, score
    from ssat.mot.sequence import find_sequences
    from ssat.mot.splits import split_frames
    from tasks.services import available_cpus

    if not results.is_dir():
        raise InputError(f"{results}: no such folder; expected result files SEQ.txt")
    to_score = {}
    found = find_sequences(Path(settings.mot).expanduser(), settings.sequences)
    missing = [one.name for one in found if not (results / f"{one.name}.txt").is_file()]
    if missing:
        raise InputError(
            f"{results}: no result file for {', '.join(missing)}; expected SEQ.txt, "
            "or name the sequences to score with --sequences"
        )
    for one in found:
        to_score[one.name] = ToScore(
            one.ground_truth(),
            read_results(results / f"{one.name}.txt", one.n_frames),
            split_frames(one.n_frames, settings.split),
            one.rules,
        )
    scores, overall = score(to_score, settings.protocol, available_cpus())
    return {
        "sequences": {name: one.to_dict() for name, one in scores.items()},
        "overall": overall.to_dict(),
        "protocol": settings.protocol,
        "split": settings.split,
    }


def _latest_benchmark(workspace: Path) -> Path:
    done = sorted(workspace.glob("benchmark/*/benchmark.json"), key=lambda path: path.stat().st_mtime_ns)
    if not done:
        raise InputError(f"workspace {workspace}: no finished benchmark; name a folder of result files with --results")
    return done[-1].parent
