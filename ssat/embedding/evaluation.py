"""Held-out scores during a training, computed by all its ranks together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

from ssat.embedding.data import TrainingData
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.embedding.retrieval import retrieval_scores

# The headline score asks for a frame at least a second away; the others say how fast it falls with time.
_HEADLINE_GAP_S = 1.0
_OTHER_GAPS_S = (0.1, 5.0)


@torch.inference_mode()
def held_out_scores(
    network: EmbeddingNetwork, data: TrainingData, group: dist.ProcessGroup | None, device: torch.device
) -> dict[str, float]:
    """Retrieval among frames of held-out clips: `held_out_recall_at_1` … and, per further gap, `…_gap_0.1s`.

    Every rank embeds its share, and all ranks get the same answer.
    """
    crops, clips, times = data.held_out_crops()
    if group is not None:
        # Running means differ between ranks until the next forward pass: all use rank 0's.
        for buffer in network.buffers():
            dist.broadcast(buffer, 0, group=group)
    network.eval()
    share = crops[data.rank :: data.world]
    mine = [np.empty((0, FEATURE_DIM), np.float32)]
    for chunk in np.array_split(share, max(1, math.ceil(len(share) / 64))):
        features = network(torch.from_numpy(np.ascontiguousarray(chunk)).to(device)).float()
        mine.append(nn.functional.normalize(features).cpu().numpy())
    shares: list[Any] = [np.concatenate(mine)]
    if group is not None:
        shares = [None] * data.world
        dist.all_gather_object(shares, np.concatenate(mine), group=group)
    features_BD = np.empty((len(crops), FEATURE_DIM), np.float32)
    for rank, features in enumerate(shares):
        features_BD[rank :: data.world] = features
    scores = {
        f"held_out_{name}": value
        for name, value in retrieval_scores(features_BD, clips, times, gap_us=round(1e6 * _HEADLINE_GAP_S)).items()
    }
    for gap in _OTHER_GAPS_S:
        for name, value in retrieval_scores(features_BD, clips, times, gap_us=round(1e6 * gap)).items():
            scores[f"held_out_{name}_gap_{gap:g}s"] = value
    return scores
