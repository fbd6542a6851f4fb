"""From the maps of the network to boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssat.detection.detections import Detections
from ssat.detection.geometry import InputMap
from ssat.detection.network import STRIDE, CenterNetwork

MAX_DETECTIONS = 100  # detections of a frame
MIN_SIDE = 0.01  # of a box, in pixels of the frame: a result file has three decimals


def peaks(heatmap_BHW: Tensor, most: int = MAX_DETECTIONS) -> tuple[Tensor, Tensor, Tensor]:
    """Return the highest values that are the maximum of their 3x3 neighbourhood, highest first.

    Args:
        heatmap_BHW: after the sigmoid.

    Returns:
        Scores, rows and columns, each (B, K), K at most `most`.
    """
    highest = functional.max_pool2d(heatmap_BHW[:, None], 3, 1, 1)[:, 0]
    kept = torch.where(highest == heatmap_BHW, heatmap_BHW, 0.0)
    width = kept.shape[2]
    scores, places = kept.flatten(1).topk(min(most, kept[0].numel()), dim=1)
    return scores, places // width, places % width


def decode(
    network: CenterNetwork, finest_B64HW: Tensor, to_input: list[InputMap], threshold: float
) -> list[Detections]:
    """Return the detections of every image of a batch that score more than `threshold`.

    Boxes without extent are left out: the heads may put left right of right, and no result file may hold such a box.
    The heatmap is computed everywhere, box and offset only where there is a peak: the other values of those heads, and
    the heads `wh` and `reg`, never reach an answer.

    Args:
        finest_B64HW: `CenterNetwork.features`.
        to_input: of each image.
    """
    heatmap_BHW = network.get_submodule("hm")(finest_B64HW)[:, 0].float().sigmoid()
    scores, rows, columns = peaks(heatmap_BHW)
    batch, rank = (scores > threshold).nonzero(as_tuple=True)
    y, x = rows[batch, rank], columns[batch, rank]
    sides = network.head_at("ltrb_amodal", finest_B64HW, batch, y, x).double()
    moved = network.head_at("tracking", finest_B64HW, batch, y, x).double()
    peak = torch.stack((x, y), 1).double()
    boxes = STRIDE * (torch.cat((peak, peak), 1) + sides)
    table = torch.cat((boxes, STRIDE * peak, STRIDE * moved, scores[batch, rank][:, None].double()), 1).cpu().numpy()
    of_image = batch.cpu().numpy()
    answer = []
    for index, input_map in enumerate(to_input):
        mine = table[of_image == index]
        framed = input_map.to_frame(mine[:, :4])
        whole = (framed[:, 2:] - framed[:, :2] >= MIN_SIDE).all(axis=1)
        mine = mine[whole]
        answer.append(
            Detections(framed[whole], mine[:, 8], input_map.to_frame(mine[:, 4:6]), mine[:, 6:8] / input_map.scale)
        )
    return answer
