"""Timelines and worst moments of benchmarks, from their result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ssat.mot.protocols import Protocol, scored_frames
from ssat.mot.rows import MotRows, read_results
from ssat.mot.switches import Stretch, identity_switches, stretches
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.report.html import ReportFigure

_TIMELINE_NOTE = "A stroke is a frame in which a labelled person continues under another identity."
_MOMENTS_NOTE = (
    "Pairs: the person when last found, and under the new identity; white is the label. Shown are the changes between "
    "the longest stretches."
)


def timelines(
    prepared: Sequence[Prepared], protocol: Protocol, folders: Mapping[str, Path], into: Path
) -> list[ReportFigure]:
    """Return a figure per sequence with a line per method (`folders`: method → folder of its result files)."""
    from ssat.report.study_plots import switch_timeline

    found = {method: found_identities(prepared, protocol, folder) for method, folder in folders.items()}
    figures = []
    for entry in prepared:
        name = entry.sequence.name
        lines = {
            method: (entry.frames, [event.frame for event in identity_switches(sequences[name][2])])
            for method, sequences in found.items()
            if name in sequences
        }
        if lines:
            path = switch_timeline(lines, into / f"switches-{name}.png")
            figures.append(ReportFigure(f"{name}: identity switches over time", path, _TIMELINE_NOTE))
    return figures


def timeline(prepared: Sequence[Prepared], protocol: Protocol, folder: Path) -> list[ReportFigure]:
    """Return one figure with a line per sequence of a benchmark in `folder`."""
    from ssat.report.study_plots import switch_timeline

    lines = {
        name: (entry.frames, [event.frame for event in identity_switches(found_stretches)])
        for name, (entry, _, found_stretches) in found_identities(prepared, protocol, folder).items()
    }
    if not lines:
        return []
    return [
        ReportFigure("Identity switches over time", switch_timeline(lines, folder / "switches.png"), _TIMELINE_NOTE)
    ]


def worst_moments(prepared: Sequence[Prepared], protocol: Protocol, folder: Path, into: Path) -> list[ReportFigure]:
    """Return a picture per sequence that has frames and lost an identity."""
    from ssat.report.moments import moments_picture, worst_switches
    from ssat.video.sources import read_ahead

    figures = []
    for name, (entry, results, found_stretches) in found_identities(prepared, protocol, folder).items():
        chosen = worst_switches(identity_switches(found_stretches))
        if not chosen or not entry.sequence.has_frames:
            continue
        numbers = sorted({frame for event in chosen for frame in (event.seen, event.frame)})
        images = dict(read_ahead(entry.sequence.frame_source(numbers)))
        path = moments_picture(chosen, entry.truth, results, images.__getitem__, into / f"moments-{name}.png")
        figures.append(ReportFigure(f"{name}: where identities were lost", path, _MOMENTS_NOTE))
    return figures


def found_identities(
    prepared: Sequence[Prepared], protocol: Protocol, folder: Path
) -> dict[str, tuple[Prepared, MotRows, list[Stretch]]]:
    """Return sequence → what was prepared, the results that lie in `folder`, and who was found as whom."""
    found = {}
    for entry in prepared:
        path = folder / f"{entry.sequence.name}.txt"
        if path.is_file():
            results = read_results(path, entry.sequence.n_frames)
            frames = scored_frames(entry.truth, results, entry.frames, protocol, rules=entry.sequence.rules)
            found[entry.sequence.name] = (entry, results, stretches(frames, protocol))
    return found
