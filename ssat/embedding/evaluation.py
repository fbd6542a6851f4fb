"""Held-out scores during a training, computed by all its ranks together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed as dist

from ssat.embedding.data import TrainingData
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.embedding.retrieval import retrieval_scores

# The headline score asks for a frame at least a second away; the others say how fast it falls with time.
_HEADLINE_GAP_S = 1.0
_OTHER_GAPS_S = (0.1, 5.0)
_BATCH = 64


@torch.no_grad()
def features_of(
    network: EmbeddingNetwork,
    crops: NDArray[np.uint8],
    device: torch.device,
    group: dist.ProcessGroup | None,
) -> NDArray[np.float32]:
    """Features (n, 512), not normalised, of crops that every rank has; each rank embeds its share, all get all."""
    rank, world = (group.rank(), group.size()) if group is not None else (0, 1)
    if group is not None:
        # Running means differ between ranks until the next forward pass: all use rank 0's.
        for buffer in network.buffers():
            dist.broadcast(buffer, 0, group=group)
    network.eval()
    share = crops[rank::world]
    mine_BD = np.empty((len(share), FEATURE_DIM), np.float32)
    for start in range(0, len(share), _BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(share[start : start + _BATCH])).to(device)
        mine_BD[start : start + _BATCH] = network(batch).float().cpu().numpy()
    shares: list[Any] = [mine_BD]
    if group is not None:
        shares = [None] * world
        dist.all_gather_object(shares, mine_BD, group=group)
    features_BD = np.empty((len(crops), FEATURE_DIM), np.float32)
    for number, features in enumerate(shares):
        features_BD[number::world] = features
    return features_BD


def held_out_scores(
    network: EmbeddingNetwork, data: TrainingData, group: dist.ProcessGroup | None, device: torch.device
) -> dict[str, float]:
    """Retrieval among frames of held-out clips: `held_out_recall_at_1` … and, per further gap, `…_gap_0.1s`.

    Every rank embeds its share, and all ranks get the same answer.
    """
    crops, clips, times = data.held_out_crops()
    features_BD = features_of(network, crops, device, group)
    features_BD /= np.maximum(np.linalg.norm(features_BD, axis=1, keepdims=True), 1e-12)
    scores = {
        f"held_out_{name}": value
        for name, value in retrieval_scores(features_BD, clips, times, gap_us=round(1e6 * _HEADLINE_GAP_S)).items()
    }
    for gap in _OTHER_GAPS_S:
        for name, value in retrieval_scores(features_BD, clips, times, gap_us=round(1e6 * gap)).items():
            scores[f"held_out_{name}_gap_{gap:g}s"] = value
    return scores
