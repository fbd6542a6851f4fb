"""Whitening (beyond the paper): a linear map behind the network that makes features spread in all directions alike.

Features of a trained network vary much in a few directions, those in which clips differ most, and things that agree in
these look alike. Principal component analysis with shrinkage (Jégou and Chum, "Negative evidences and co-occurrences in
image retrieval", 2012) needs no label. Where a class has several views, directions in which they differ can count less
instead (within-class covariance normalisation, Hatch et al. 2006). The last layer is linear, so the map becomes part
of its weights.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ssat.embedding.network import EmbeddingNetwork


def whitening(features_BD: NDArray[np.float32], shrinkage: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the symmetric map A (D, D) and mean μ (D,) that give A(x - μ) about equal variance in all directions.

    Args:
        features_BD: as the network gives them, not normalised.
        shrinkage: added to every direction's variance, as a share of the mean variance; the smaller, the more those
            that hardly vary are stretched.
    """
    mean_D = features_BD.mean(0, dtype=np.float64)
    centred_BD = features_BD - mean_D
    covariance_DD = centred_BD.T @ centred_BD / max(1, len(features_BD) - 1)
    variance_D, direction_DD = np.linalg.eigh(covariance_DD)
    floor = shrinkage * max(float(variance_D.mean()), np.finfo(np.float64).tiny)
    # Rounding leaves variances a little below zero if there are fewer features than directions.
    scale_D = 1 / np.sqrt(np.maximum(variance_D, 0) + floor)
    map_DD: NDArray[np.float64] = (direction_DD * scale_D) @ direction_DD.T
    # The mean length is kept: it does not affect cosines, and half precision needs numbers of moderate size.
    map_DD *= np.sqrt(np.square(centred_BD).sum() / max(np.square(centred_BD @ map_DD).sum(), 1e-30))
    return map_DD, mean_D


def within_class_whitening(
    features_NF: NDArray[np.float64], class_N: NDArray[np.int64], shrinkage: float
) -> NDArray[np.float64]:
    """Return the symmetric map (F, F) that evens out how features of one class vary, shrunk towards the identity.

    Args:
        features_NF: of views.
        class_N: (n,) the class of each view, 0 or more.
        shrinkage: of the within-class covariance to equal variance in all directions; 1: fully.
    """
    counts = np.bincount(class_N)
    sums = np.zeros((len(counts), features_NF.shape[1]))
    np.add.at(sums, class_N, features_NF)
    within = features_NF - (sums / np.maximum(counts, 1)[:, None])[class_N]
    covariance = within.T @ within / len(within)
    width = len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / width * np.eye(width)
    values, vectors = np.linalg.eigh(shrunk)
    whitening: NDArray[np.float64] = (vectors * values**-0.5) @ vectors.T
    whitening /= np.sqrt((whitening**2).sum() / width)
    return whitening


def whitened(network: EmbeddingNetwork, map_DD: NDArray[np.float64], mean_D: NDArray[np.float64]) -> EmbeddingNetwork:
    """Return a copy of `network` whose features are A(x - μ)."""
    made = copy.deepcopy(network)
    last = made.backbone.fc
    assert isinstance(last, nn.Linear)  # noqa: S101 - every ResNet of torchvision ends so
    weight, bias = (value.detach().double().cpu().numpy() for value in (last.weight, last.bias))
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(map_DD @ weight))
        last.bias.copy_(torch.from_numpy(map_DD @ (bias - mean_D)))
    return made
