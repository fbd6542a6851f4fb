from pathlib import Path

from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.stage_seconds import StageSeconds


def test_what_is_kept_comes_back_and_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    full = SequenceResult("A.txt", 5, 9, StageSeconds(read=0.5), "A.mp4", "A.png", 12.5, ("little light",))
    full.write(tmp_path / "A.json")
    assert SequenceResult.read(tmp_path / "A.json") == full
    assert full.files == ("A.txt", "A.mp4", "A.png")
    earlier = tmp_path / "B.json"
    earlier.write_text('{"results": "B.txt", "n_frames": 3, "n_detections": 7, "seconds": {"read": 1.0}}')
    found = SequenceResult.read(earlier)
    assert (found.files, found.video, found.notes) == (("B.txt",), None, ())
    seconds = {"read": 1.0, "patches": 0.0, "embed": 0.0, "associate": 0.0}
    assert found.as_json() == {"results": "B.txt", "n_frames": 3, "n_detections": 7, "seconds": seconds}
