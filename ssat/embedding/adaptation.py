"""Adapt an embedder to one camera from patches of which each shows one person, without labels and without gradients.

Learned colours are learned again: the cells are the colours that occur at this camera. Of a network the last layer is
changed, which is linear: the mean of its features is that of this camera's people, and directions in which one person
changes from view to view count less (within-class covariance normalisation, as in `colour_learning`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from ssat.embedding.colour_learning import learn_colours, spread_rows
from ssat.embedding.histogram import HistogramNetwork
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.whitening import whitened, within_class_whitening
from ssat.errors import InputError
from ssat.patches.clips import PatchTable
from ssat.patches.settings import ColoursSettings
from ssat.patches.views import ViewRule, view

MIN_TRACKLETS = 8
COLOURS_SHRINKAGE, NETWORK_SHRINKAGE = 0.8, 0.03  # chosen by pairs of labelled sequences
_MIN_VIEWS = 3
_BATCH = 64


def views_of_each(table: PatchTable, views: int) -> int:
    """Return how many views of every patch make `views` in all."""
    return max(_MIN_VIEWS, ceil(views / max(1, table.n_patches)))


def adapted_colours(
    table: PatchTable, views: int, shrinkage: float, seed: int, advance: Callable[[int], None] = lambda done: None
) -> HistogramNetwork:
    """Learn colours from the tracklets of one camera.

    Args:
        table: a patch for each tracklet.
        views: drawn of all tracklets together.
        shrinkage: of the within-class covariance to equal variance in all directions.
        seed: of cells and views.
        advance: called with the number of views that were drawn since.

    Raises:
        InputError: too few tracklets.
    """
    _check(table)
    settings = ColoursSettings(views=views_of_each(table, views), shrinkage=shrinkage, seed=seed)
    return learn_colours(table, settings, advance, fewest=MIN_TRACKLETS)


def adapted_network(
    network: EmbeddingNetwork,
    input_size: int,
    table: PatchTable,
    views: int,
    shrinkage: float,
    seed: int,
    advance: Callable[[int], None] = lambda done: None,
) -> EmbeddingNetwork:
    """Return a copy of `network` whose last layer fits the tracklets of one camera.

    Args:
        network: stays as it is.
        input_size: side of its patches, pixels.
        table, views, shrinkage, seed, advance: as for `adapted_colours`.

    Raises:
        InputError: too few tracklets.
    """
    _check(table)
    rng = np.random.default_rng([seed, 4])
    rows = spread_rows(table, views_of_each(table, views))
    rule = ViewRule(size=(input_size, input_size))
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        parts.append(_raw(network, np.stack([view(table, int(row), rng, rule) for row in part]), device))
        advance(len(part))
    features_NF = np.concatenate(parts)
    return whitened(
        network, within_class_whitening(features_NF, table.patch[rows], shrinkage), features_NF.mean(axis=0)
    )


@torch.inference_mode()
def _raw(network: EmbeddingNetwork, views: NDArray[np.uint8], device: torch.device) -> NDArray[np.float64]:
    features: NDArray[np.float64] = network.eval()(torch.from_numpy(views).to(device)).double().cpu().numpy()
    return features


def _check(table: PatchTable) -> None:
    if table.n_patches < MIN_TRACKLETS:
        raise InputError(
            f"{table.n_patches} tracklets of 5 boxes or more, expected at least {MIN_TRACKLETS}: give longer "
            "footage, or detections of more people in consecutive frames"
        )
