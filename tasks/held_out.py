"""The held-out measure on clips that none of several trainings has seen."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.embedding.settings import TrainSettings
from ssat.workspace import Workspace


@task(name="held-out recall", persist_result=False, cache_policy=NO_CACHE)
def common_recall(workspace: Workspace, largest: TrainSettings, embedder_file: Path) -> float:
    """Return recall at 1 on the clips that the largest of several nested trainings holds out: no smaller one saw them.

    A training's own score is on the clips right after its own, so two numbers of clips cannot be compared by it.

    Raises:
        InputError: the store has too few clips.
    """
    from ssat.embedding.clip_split import split_clips
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.held_out import held_out_frames, held_out_scores
    from ssat.frames.store import FrameStore

    store = FrameStore.open(workspace.frames)
    _, held_out = split_clips(largest.data, store.class_ids.tolist())
    frames = held_out_frames(store, held_out, largest.data)
    return held_out_scores(frames, Embedder.load(embedder_file)(frames.crops)).headline.recall_at_1
