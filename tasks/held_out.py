"""Retrieval on clips that none of several trainings has seen: one measure for all of them."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.embedding.settings import TrainSettings
from ssat.workspace import Workspace

_FRAMES = 16
_GAP_US = 1_000_000


@task(name="held-out recall", persist_result=False, cache_policy=NO_CACHE)
def common_recall(workspace: Workspace, largest: TrainSettings, embedder_file: Path) -> float:
    """Recall at 1 on the clips that the largest of several nested trainings holds out, which no smaller one has seen.

    A training's own score is on the clips right after its own, so two numbers of clips cannot be compared by it.

    Raises:
        InputError: the store has too few clips.
    """
    from ssat.embedding.data import split_ranks
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.retrieval import retrieval_scores
    from ssat.frames.sampler import read_crops
    from ssat.frames.store import FrameStore

    store = FrameStore.open(workspace.frames)
    _, held_out = split_ranks(largest, store.ranks.tolist())
    crops, clips, times = read_crops(
        store, held_out, frames_per_clip=_FRAMES, crop=largest.crop, short_side=largest.short_side
    )
    return retrieval_scores(Embedder.load(embedder_file)(crops), clips, times, gap_us=_GAP_US)["recall_at_1"]
