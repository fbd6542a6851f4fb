import numpy as np
import pytest
import torch

from ssat.detection.decode import decode, peaks
from ssat.detection.geometry import InputMap
from ssat.detection.network import CenterNetwork


def test_peaks_are_3x3_maxima_highest_first_and_equal_neighbours_all_stay() -> None:
    heatmap = torch.zeros(1, 6, 8)
    heatmap[0, 1, 1], heatmap[0, 1, 2], heatmap[0, 4, 6] = 0.5, 0.4, 0.9
    heatmap[0, 4, 2] = heatmap[0, 4, 3] = 0.7
    scores, rows, columns = (part[0, :4].tolist() for part in peaks(heatmap))
    assert scores == pytest.approx([0.9, 0.7, 0.7, 0.5])
    assert list(zip(rows, columns, strict=True)) == [(4, 6), (4, 2), (4, 3), (1, 1)]
    assert peaks(torch.rand(2, 40, 40))[0].shape == (2, 100)


def test_boxes_stand_on_the_integer_peak_and_come_back_through_the_map() -> None:
    network = CenterNetwork().eval()
    for head in (network.hm, network.ltrb_amodal, network.tracking):  # type: ignore[has-type]
        torch.nn.init.zeros_(head[0].weight)
        torch.nn.init.zeros_(head[0].bias)
        torch.nn.init.zeros_(head[2].weight)
    # The heatmap passes channel 0 of the features through; the other heads say the same everywhere.
    network.hm[0].weight.data[0, 0, 1, 1] = 1.0  # type: ignore[index, has-type, union-attr]
    network.hm[2].weight.data[0, 0] = 1.0  # type: ignore[index, has-type, union-attr]
    network.hm[2].bias.data[:] = -3.0  # type: ignore[index, has-type, union-attr]
    network.ltrb_amodal[2].bias.data = torch.tensor([-2.5, -5.0, 2.5, 6.0])  # type: ignore[index, has-type, union-attr]
    network.tracking[2].bias.data = torch.tensor([1.0, -0.5])  # type: ignore[index, has-type, union-attr]
    finest = torch.zeros(2, 64, 136, 240)
    finest[1, 0, 50, 100] = 3.0 + np.log(0.8 / 0.2)  # score 0.8
    finest[1, 0, 90, 30] = 3.0 + np.log(0.4 / 0.6)  # score 0.4: not more than the threshold
    maps = [InputMap.of(1920, 1080, "letterbox")] * 2
    with torch.inference_mode():
        nothing, found = decode(network, finest, maps, threshold=0.4)
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 4)
    # (100 - 2.5, 50 - 5, …) x 4 are input pixels; the frame is twice as large, and 2 input pixels higher up.
    np.testing.assert_allclose(found.boxes, [[780, 356, 820, 444]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-6)
    np.testing.assert_allclose(found.centres, [[800, 396]], atol=1e-9)
    np.testing.assert_allclose(found.offsets, [[8, -4]], atol=1e-9)
    network.ltrb_amodal[2].bias.data = torch.tensor([2.5, -5.0, -2.5, 6.0])  # type: ignore[index, has-type, union-attr]
    with torch.inference_mode():
        _, found = decode(network, finest, maps, threshold=0.4)
    assert len(found) == 0, "left is right of right: a box without extent could be written to no result file"
