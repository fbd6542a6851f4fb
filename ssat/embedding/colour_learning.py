"""Learn colour features from followed patches: cells by k-means, then within-class covariance.

No gradient: the cells are the colours that occur in the clips, the mean is that of all views, and the whitening is the
inverse square root of the covariance of views of one patch (within-class covariance normalisation, Hatch et al. 2006),
shrunk towards equal changes in all directions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from ssat.embedding.histogram import CELLS, HistogramNetwork, colour_channels, pooled
from ssat.embedding.protocol import PatchEmbedder, patch_shape
from ssat.embedding.whitening import within_class_whitening
from ssat.errors import InputError
from ssat.patches.clips import PatchTable
from ssat.patches.settings import ColoursSettings
from ssat.patches.views import ViewRule, view

_SHARPNESS = 20.0  # of the soft cells: 1 / (2 σ²) in units of the channels
_SAMPLE_VIEWS, _SAMPLE_COLOURS = 300, 20_000
_BATCH = 128
MIN_PATCHES = 32
_PLAIN = ViewRule(background=0.0, cover=0.0)


@dataclass(frozen=True)
class HeldOutScore:
    """Score of the colours on patches of held-out clips.

    Attributes:
        auc: share of pairs (early view, late view) of one clip that the cosine ranks correctly: same patch first.
        pairs: pairs of one patch.
    """

    auc: float
    pairs: int


def learn_colours(
    table: PatchTable,
    settings: ColoursSettings,
    advance: Callable[[int], None] = lambda done: None,
    *,
    fewest: int = MIN_PATCHES,
) -> HistogramNetwork:
    """Learn the network from followed patches.

    Args:
        table: the patches.
        settings: number of views of a patch, shrinkage and seed; the rest says where patches come from.
        advance: called with the number of views that were drawn since.
        fewest: patches that are enough.

    Raises:
        InputError: too few patches.
    """
    if table.n_patches < fewest:
        raise InputError(
            f"{table.n_patches} patches could be followed, expected at least {fewest}: collect more clips, or "
            "some that are longer than a second and show something"
        )
    rng = np.random.default_rng([settings.seed, 1])
    network = HistogramNetwork().eval()
    sample = [view(table, int(row), rng, _PLAIN) for row in rng.integers(len(table), size=_SAMPLE_VIEWS)]
    _set_cells(network, np.stack(sample), rng)
    rows = spread_rows(table, settings.views)
    features = np.empty((len(rows), len(network.mean)), np.float64)
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        views = np.stack([view(table, int(row), rng, ViewRule()) for row in part])
        features[start : start + len(part)] = _histograms(network, views)
        advance(len(part))
    _set_whitening(network, features, table.patch[rows], settings.shrinkage)
    return network


def held_out_score(embedder: PatchEmbedder, table: PatchTable, seed: int = 0) -> HeldOutScore:
    """Score an embedder on patches of clips that were not learned from: first against last box, in other views.

    Args:
        embedder: of any kind, at its own input size.
        table: the patches.
        seed: of the views; the same views for every input size.
    """
    rng, rule = np.random.default_rng([seed, 2]), ViewRule(size=patch_shape(embedder))
    first = np.searchsorted(table.patch, np.arange(table.n_patches))
    last = np.searchsorted(table.patch, np.arange(table.n_patches), side="right") - 1
    early, late = (embedder(np.stack([view(table, int(row), rng, rule) for row in rows])) for rows in (first, last))
    cosine, clip = early @ late.T, table.start[first]
    # Two starts of one clip may show the same object, so only patches of the same frames are different objects.
    together, same = clip[:, None] == clip[None], np.eye(len(first), dtype=bool)
    positive, negative = cosine[same], cosine[together & ~same]
    if not len(negative):
        return HeldOutScore(float("nan"), len(positive))
    above = np.searchsorted(np.sort(negative), positive, side="left")
    below = np.searchsorted(np.sort(negative), positive, side="right")
    return HeldOutScore(float((above + below).mean() / 2 / len(negative)), len(positive))


def spread_rows(table: PatchTable, views: int) -> NDArray[np.intp]:
    """Return `views` rows of every patch, as far apart in time as they are; some twice where there are fewer."""
    bounds = np.searchsorted(table.patch, np.arange(table.n_patches + 1))
    spread = [np.linspace(start, stop - 1, views).round().astype(np.intp) for start, stop in itertools.pairwise(bounds)]
    return np.concatenate(spread)


@torch.inference_mode()
def _set_cells(network: HistogramNetwork, sample: NDArray[np.uint8], rng: np.random.Generator) -> None:
    colours = colour_channels(pooled(torch.from_numpy(sample))).permute(0, 2, 3, 1).reshape(-1, 6).numpy()
    chosen = colours[rng.choice(len(colours), min(_SAMPLE_COLOURS, len(colours)), replace=False)].astype(np.float64)
    centres, _ = kmeans2(chosen, CELLS, iter=20, minit="++", seed=rng)
    # The softmax over −β |x − c|² is that over 2β c·x − β |c|²: a 1x1 convolution.
    weight = torch.from_numpy((2 * _SHARPNESS * centres).astype(np.float32))
    network.cells.weight.copy_(weight[:, :, None, None])
    network.cells.bias.copy_(torch.from_numpy((-_SHARPNESS * (centres**2).sum(axis=1)).astype(np.float32)))  # type: ignore[union-attr]


@torch.inference_mode()
def _set_whitening(
    network: HistogramNetwork, features_NF: NDArray[np.float64], patch_N: NDArray[np.int64], shrinkage: float
) -> None:
    whitening = within_class_whitening(features_NF, patch_N, shrinkage)
    network.whitening.copy_(torch.from_numpy(whitening.astype(np.float32)))
    network.mean.copy_(torch.from_numpy(features_NF.mean(axis=0).astype(np.float32)))


@torch.inference_mode()
def _histograms(network: HistogramNetwork, views: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(network.histogram(torch.from_numpy(views)).numpy())
