"""The better of two features: the trained network, or colours learned from the same clips; judged without labels."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from ssat.clips.roster import load_roster
from ssat.embedding.clip_split import split_clips
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.store import FrameStore
from ssat.patches.settings import ColoursSettings, FollowSettings
from ssat.workspace import Workspace
from tasks.colours import INPUT_SIZE, FollowedClips, follow_clips
from tasks.progress import progress_bar
from tasks.trained import FeatureChoice

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder

_LOG = logging.getLogger(__name__)


def compare_with_colours(
    workspace: Workspace, settings: TrainSettings, store: FrameStore, network: Embedder
) -> tuple[FeatureChoice, Embedder | None]:
    """Learn colours from the clips of a training and compare them with its network on the held-out clips.

    Needs a connected Ray cluster where clips were not followed before.

    Args:
        workspace: with the clips.
        settings: of the training.
        store: its frame store.
        network: the trained one.

    Returns:
        The choice, and the colours where they are kept.
    """
    from ssat.embedding.colour_learning import MIN_PATCHES, held_out_score, learn_colours
    from ssat.embedding.embedder import Embedder

    training, held_out = split_clips(settings.data, store.class_ids.tolist())
    try:
        followed = _followed(workspace, store, [*training, *held_out])
    except InputError as error:
        return _nothing(f"the clips cannot be read again: {error}"), None
    learned_from, compared = followed.joined(0, len(training)), followed.joined(len(training))
    if learned_from.n_patches < MIN_PATCHES or compared.n_patches < 2:
        return _nothing(
            f"{learned_from.n_patches} patches could be followed in the {len(training)} training clips, expected "
            f"{MIN_PATCHES}, and {compared.n_patches} in the {len(held_out)} held-out clips, expected 2"
        ), None
    how = ColoursSettings(seed=settings.seed)
    with progress_bar("learn colours, views", learned_from.n_patches * how.views) as advance:
        colours = Embedder(learn_colours(learned_from, how, advance), INPUT_SIZE)
    of_network, of_colours = (held_out_score(embedder, compared, settings.seed) for embedder in (network, colours))
    if math.isnan(of_network.auc):
        return _nothing("no two patches of held-out clips are seen together"), None
    better = of_colours.auc > of_network.auc
    choice = FeatureChoice(
        kept="colours" if better else "network",
        network_auc=of_network.auc,
        colours_auc=of_colours.auc,
        pairs=of_network.pairs,
        patches=learned_from.n_patches,
    )
    return choice, colours if better else None


def _nothing(why: str) -> FeatureChoice:
    _LOG.warning("setting train.colours: nothing was compared, the network is kept: %s", why)
    return FeatureChoice(note=why)


def _followed(workspace: Workspace, store: FrameStore, class_ids: list[int]) -> FollowedClips:
    """Return the patches of clips, by position among `class_ids`.

    Raises:
        InputError: no roster, or its clips are not those of the frame store.
    """
    columns: Any = store.clips.select(["rank", "source_sha256"])
    stored = dict(zip(columns["rank"].to_pylist(), columns["source_sha256"].to_pylist(), strict=True))
    collected = {row["rank"]: row for row in load_roster(workspace).select(["rank", "path", "sha256"]).to_pylist()}
    rows = [collected.get(class_id, {}) for class_id in class_ids]
    digests = [stored[class_id] for class_id in class_ids]
    other = sum(row.get("sha256") != digest for row, digest in zip(rows, digests, strict=True))
    if other:
        raise InputError(
            f"{workspace.roster}: {other} of {len(class_ids)} clips of the frame store are missing or have changed "
            "since; expected the same clips. Run `ssat decode` again"
        )
    return follow_clips(workspace, [row["path"] for row in rows], digests, FollowSettings())
