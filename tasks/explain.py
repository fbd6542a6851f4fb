"""Explain why an identity of a benchmark started and ended, by tracking its sequence again from the caches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings
from ssat.tracking.config import TrackerName
from ssat.workspace import Workspace

_EXPLAINING: tuple[TrackerName, ...] = ("ssat", "box")


@dataclass(frozen=True)
class Asked:
    """An identity of a sequence, as its result file numbers it."""

    sequence: str
    identity: int

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Return what `SEQUENCE:ID` asks for.

        Raises:
            InputError: another form.
        """
        sequence, separator, identity = text.rpartition(":")
        if not separator or not sequence or not identity.isdecimal() or int(identity) < 1:
            raise InputError(f"explain {text!r}: expected SEQUENCE:ID, such as MOT17-09-FRCNN:7")
        return cls(sequence, int(identity))


@dataclass(frozen=True)
class Explanation:
    """Reasons why an identity started and ended, and their files: a text and, if there are frames, a picture."""

    explanation: str
    explained: tuple[Path, ...]


def check_explain(settings: BenchmarkSettings, asked: Asked) -> None:
    """Refuse before any work what cannot be explained.

    Raises:
        InputError: a tracker that explains nothing, or a sequence that is not tracked.
    """
    from ssat.pipeline.benchmark_inputs import sequences_of

    if settings.tracker not in _EXPLAINING:
        raise InputError(
            f"explain: tracker {settings.tracker} explains nothing; expected tracker {' or '.join(_EXPLAINING)}"
        )
    names = [sequence.name for sequence in sequences_of(settings)]
    if asked.sequence not in names:
        raise InputError(f"explain: no sequence {asked.sequence}; this benchmark has {', '.join(names)}")


def explain_in_benchmark(workspace: Workspace, settings: BenchmarkSettings, asked: Asked) -> Explanation:
    """Track a sequence of a benchmark again, features from the cache; write why an identity began and ended.

    The files lie beside the benchmark's results, which stay as they are.

    Raises:
        InputError: as `check_explain` and `BenchmarkReplay.track`, or an identity that does not occur.
    """
    from ssat.report.explained import write_explanation
    from ssat.tracking.explain import Explainer
    from tasks.replay import BenchmarkReplay

    check_explain(settings, asked)
    replay = BenchmarkReplay(workspace, settings)
    explainer = Explainer(asked.identity, settings.association)
    replay.track(asked.sequence, "explain", before=explainer.seen, observer=explainer, images=True)
    folder = replay.located.folder
    folder.mkdir(parents=True, exist_ok=True)
    return Explanation(explainer.text(), tuple(write_explanation(explainer, folder, asked.sequence)))
