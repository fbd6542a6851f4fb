"""The benchmark with the refinement, on a real Prefect server; the network is real, its weights are drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ssat.detection.detections import middles
from ssat.detection.network import CenterNetwork
from ssat.embedding.embedder import Embedder
from ssat.mot.rows import read_results
from ssat.mot.sequence import MotSequence
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace, sha256_of
from tasks.services import services

pytestmark = pytest.mark.integration


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network that sees somebody wherever the picture has an edge, as the authors would publish it."""
    # A smaller input than the published one: the same code on a twentieth of the pixels.
    monkeypatch.setattr("ssat.detection.centertrack_detector.INPUT_SIZE", (192, 128))
    torch.manual_seed(0)
    network = CenterNetwork()
    network.hm[2].bias.data += 0.2  # type: ignore[index, union-attr]
    network.ltrb_amodal[2].bias.data = torch.tensor([-2.0, -4.0, 2.0, 4.0])  # type: ignore[index, union-attr]
    path = tmp_path / "mot17_half.pth"
    torch.save({"epoch": 70, "state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, path)
    return path


def test_frozen_and_in_the_loop(
    make_sequence: Callable[..., Path], workspace: Workspace, prefect_server: str, tmp_path: Path, checkpoint: Path
) -> None:
    from mlflow import MlflowClient

    from flows.stage_flow import run_stage
    from flows.stages.benchmark import STAGE as BENCHMARK
    from tasks.services import mlflow_tracking_uri

    folder = make_sequence(tmp_path, "WALK-01", n_frames=6)
    embedder = tmp_path / "embedder.safetensors"
    Embedder.untrained("resnet18", input_size=32).save(embedder)

    def settings(**values: object) -> BenchmarkSettings:
        given = {"mot": str(folder), "split": "train", "embedder": str(embedder), "video": False}
        return BenchmarkSettings.build(None, given, {"refinement": {"checkpoint": str(checkpoint)}}, values)

    with services(workspace, mlflow=True):
        frozen = run_stage(BENCHMARK, str(workspace.root), settings(refine="frozen"))
        assert frozen.detector_sha256 == sha256_of(checkpoint)
        assert frozen.sequences["WALK-01"].speed.fps_by_stage["detect"] > 0
        assert "detections of centertrack" in frozen.headline
        kept = {path: path.stat().st_mtime_ns for path in (workspace.cache / "detections").rglob("*.parquet")}
        assert len(kept) == 1
        free = run_stage(
            BENCHMARK,
            str(workspace.root),
            settings(
                refine="frozen",
                refinement={"checkpoint": str(checkpoint), "births": "free"},
                association={"motion": "kalman", "camera_motion": True},
                interpolate_seconds=0.5,
            ),
        )
        assert {path: path.stat().st_mtime_ns for path in kept} == kept, "the same detections serve both"
        assert "beyond the paper: motion kalman, camera motion, gaps filled up to 0.5 s" in free.headline
        assert "detect" not in free.sequences["WALK-01"].speed.fps_by_stage, "nothing was detected now"
        rows = {
            name: read_results(workspace.absolute(result.folder) / "WALK-01.txt")
            for name, result in (("public", frozen), ("free", free))
        }
        assert 0 < len(rows["public"]) < len(rows["free"]), "only near a public box may a track begin"
        looped = run_stage(BENCHMARK, str(workspace.root), settings(refine="closed-loop"))
        assert looped.folder != frozen.folder
        assert looped.sequences["WALK-01"].speed.fps_by_stage["detect"] > 0
        run = MlflowClient(mlflow_tracking_uri(workspace)).get_run(looped.mlflow_run_id)
        assert run.data.tags["detector_sha256"] == sha256_of(checkpoint)
        assert run.data.params["refine"] == "closed-loop"
        # CenterTrack's own association, on the same network and under the same init rule.
        public = MotSequence.open(folder).detections()
        for mode in ("frozen", "closed-loop"):
            theirs = run_stage(
                BENCHMARK, str(workspace.root), settings(refine=mode, tracker="centertrack", embedder=None)
            )
            assert theirs.headline.startswith("centertrack on detections of centertrack")
            tracked = read_results(workspace.absolute(theirs.folder) / "WALK-01.txt")
            assert len(tracked) > 0
            for identity in set(tracked.ids.tolist()):
                mine = tracked.select(tracked.ids == identity)
                assert (mine.frames[1:] - mine.frames[:-1] == 1).all(), "who is missed once is somebody new"
                box, born = mine.boxes[0], int(mine.frames[0])
                near = middles(public.boxes[public.at(born)]) - middles(box[None])
                # The centre of a detection is its peak, which may stand a little beside the middle of its box.
                assert born == 1 or np.hypot(*near.T).min() < 2 * np.sqrt(np.prod(box[2:] - box[:2]))
