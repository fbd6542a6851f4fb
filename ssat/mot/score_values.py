"""The scores of a tracker: shares and counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Scores:
    """Scores as shares of 1 and counts.

    `mota`, `idf1`, `idp`, `idr`: shares (MOTA may be negative). `motp`: mean IoU of the matched boxes.
    `mt`, `pt`, `ml`: identities mostly tracked, partially tracked and mostly lost: found in 80 % of their frames (by
    `motchallenge` in more than that), between, and in less than 20 %. `fp`, `fn`, `idsw`, `frag`: counts over all
    frames. `hota`, `deta`, `assa`: shares, mean over the thresholds of overlap 0.05 … 0.95. `gt_dets`, `gt_ids`: boxes
    and identities that ought to be found.
    """

    mota: float
    motp: float
    idf1: float
    idp: float
    idr: float
    mt: int
    pt: int
    ml: int
    fp: int
    fn: int
    idsw: int
    frag: int
    hota: float
    deta: float
    assa: float
    gt_dets: int
    gt_ids: int

    def to_dict(self) -> dict[str, float | int]:
        """Key → value, as in the JSON of the command line."""
        return asdict(self)
