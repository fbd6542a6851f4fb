"""A benchmark whose sequences are tracked side by side, on a real Ray and a real Prefect server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.services import services

pytestmark = pytest.mark.integration


def test_side_by_side_gives_the_same_and_is_found_again(
    make_sequence: Callable[..., Path], workspace: Workspace, prefect_server: str, ray_cluster: None, tmp_path: Path
) -> None:
    from flows.stage_flow import run_stage
    from flows.stages.benchmark import STAGE as BENCHMARK

    mot = tmp_path / "MOT"
    make_sequence(mot, "WALK-01")
    make_sequence(mot, "WALK-02", n_frames=6)
    embedder = tmp_path / "embedder.safetensors"
    Embedder.untrained("resnet18", input_size=32).save(embedder)

    def settings(**values: object) -> BenchmarkSettings:
        given = {"mot": str(mot), "split": "train", "embedder": str(embedder), "video": False}
        return BenchmarkSettings.build(None, given, values)

    alone = Workspace.open(tmp_path / "alone")
    with services(workspace, mlflow=True):
        one_by_one = run_stage(BENCHMARK, str(alone.root), settings(side_by_side="never"))
        result = run_stage(BENCHMARK, str(workspace.root), settings(side_by_side="always"))
        files = [workspace.absolute(result.folder) / f"WALK-0{n}.txt" for n in (1, 2)]
        for path in files:
            assert path.read_bytes() == (alone.absolute(one_by_one.folder) / path.name).read_bytes()
        assert result.overall.scores.hota == one_by_one.overall.scores.hota > 0
        assert len(list((workspace.cache / "features").rglob("*.safetensors"))) == 2

        # Another protocol, or fewer of the sequences: the tracks are the same files.
        for values in ({"protocol": "motchallenge"}, {"sequences": ["WALK-02"]}):
            other = run_stage(BENCHMARK, str(workspace.root), settings(**values))
            assert other.folder != result.folder
            again = workspace.absolute(other.folder) / "WALK-02.txt"
            assert again.stat().st_ino == files[1].stat().st_ino

        frame = mot / "WALK-02" / "img1" / "000005.jpg"
        frame.write_bytes(frame.read_bytes()[:2000])
        with pytest.raises(InputError, match=r"000005.jpg: broken JPEG"):
            run_stage(BENCHMARK, str(workspace.root), settings(side_by_side="always"))
