from pathlib import Path

import cv2
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.report.sheets import crop_sheet


def test_sheet_holds_every_crop_unchanged_in_order(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    sheet = cv2.imread(str(crop_sheet(crops, range(6), tmp_path / "sheet.png")))[..., ::-1]
    columns = (sheet.shape[1] - 4) // 36
    for n, crop in enumerate(crops):
        top, left = 4 + n // columns * 52, 4 + n % columns * 36
        np.testing.assert_array_equal(sheet[top : top + 32, left : left + 32], crop)
    caption = sheet[4 + 32 : 4 + 48, 4:36]
    assert caption.min() < 128, "the label is written under the crop"


@pytest.mark.parametrize(
    ("crops", "labels", "message"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), [], "n > 0"),
        (np.zeros((2, 8, 8, 3), np.float32), [0, 1], "float32"),
        (np.zeros((2, 8, 8, 3), np.uint8), [0], "2 crops but 1 labels"),
    ],
)
def test_sheet_refuses_what_it_cannot_show(crops: np.ndarray, labels: list[int], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        crop_sheet(crops, labels, tmp_path / "sheet.png")
