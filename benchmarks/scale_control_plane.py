"""The real scale flow up to 500,000 clips with dummy work: what orchestration alone takes.

    python benchmarks/scale_control_plane.py
    python benchmarks/scale_control_plane.py --clips 8000

List, collector, status table, ranks, shards' plans, manifests, flows, tasks, artifacts and ladder are the real ones, on
a real Prefect server. Not done are downloading and trimming a clip, decoding a shard, a training, a benchmark and the
promotion: each gives at once what the real one would write. Counted are flow runs, task runs, rows and requests.
"""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import click
import httpx
from control_plane import FRAMES, write_list
from support.report import Claim, report
from support.stores import dummy_shard

from ssat.clips import status as st
from ssat.clips.attempts import Attempts
from ssat.clips.rows import StatusRow
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.mot.score_values import Scores
from ssat.pipeline.benchmark_result import BenchmarkResult, Scored, Speed
from ssat.pipeline.settings import BenchmarkSettings
from ssat.scale.settings import LADDER, ScaleSettings
from ssat.workspace import Workspace, committed
from tasks.services import services
from tasks.trained import TrainedEmbedder

HELD_OUT = 16


DUMMY_SCORES = Scores(
    **dict.fromkeys(("mota", "motp", "idf1", "idp", "idr", "hota", "deta", "assa"), 0.5),
    **dict.fromkeys(("mt", "pt", "ml", "fp", "fn", "idsw", "frag", "gt_dets", "gt_ids"), 1),
)
DUMMY_BENCHMARK = BenchmarkResult(
    sequences={},
    detectors={},
    overall=Scored(DUMMY_SCORES, None, Speed(25.0, {}, 1, 1)),
    split="train",
    detections="public",
    min_score=None,
    tracker="ssat",
    protocol="motchallenge",
    detector=None,
    detector_sha256=None,
    refine="none",
    departures=(),
    extensions=(),
    embedder=None,
    embedder_digest=None,
    data_digest="0",
    folder="benchmark/0",
    files={},
    submission=None,
    report=None,
    skipped={},
    mlflow_run_id="0" * 32,
)


def collect_dummy(
    self: Attempts, candidate: Any, attempts_before: int, sources: Any, last: bool = True
) -> list[StatusRow]:
    """A clip that is collected at once: its row is written to the status log as any."""
    row = StatusRow(
        clip_id=candidate.clip_id,
        attempt=attempts_before + 1,
        status=st.OK,
        n_frames=FRAMES,
        bytes=0,
        sha256=f"{int(candidate.clip_id):064x}",
        path="clips/empty.mp4",
        started_at=st.now(),
        elapsed_s=0.0,
        run_id=self._run_id,
    )
    self._log.append(row)
    return [row]


def write_dummies(missing: Any, settings: DecodeSettings) -> int:
    """The manifests of shards that are empty files."""
    for job in missing:
        entry, clips = dummy_shard(job, FRAMES)
        job.path.parent.mkdir(parents=True, exist_ok=True)
        job.path.touch()
        content = {"shard": entry.model_dump(mode="json"), "clips": [clip.model_dump(mode="json") for clip in clips]}
        with committed(job.sidecar) as temporary:
            temporary.write_text(json.dumps(content))
    return sum(FRAMES * len(job.clips) for job in missing)


class Requests:
    """Counts the HTTP requests that this process sends."""

    def __init__(self) -> None:
        self.count = 0

    def counting(self, stack: ExitStack) -> None:
        for client in (httpx.Client, httpx.AsyncClient):
            stack.enter_context(patch.object(client, "send", self._wrapped(client.send)))

    def _wrapped(self, send: Any) -> Any:
        def counted(client: Any, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return send(client, *args, **kwargs)

        return counted


def dummy_stages(stack: ExitStack, workspace: Workspace) -> None:
    from flows import scale
    from tasks import decode

    def train(workspace: Workspace, settings: TrainSettings) -> TrainedEmbedder:
        folder = workspace.training / str(settings.data.clips)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "embedder.safetensors").touch()
        clips = settings.data.clips or 0
        embedder = f"training/{clips}/embedder.safetensors"
        return TrainedEmbedder(embedder, "0" * 32, str(clips), {}, "0", clips, 1, {}, {}, [])

    stack.enter_context(patch.object(Attempts, "collect", collect_dummy))
    stack.enter_context(patch.object(decode, "write_missing", write_dummies))
    stack.enter_context(patch.object(scale.TRAIN, "run", train))
    stack.enter_context(patch.object(scale.BENCHMARK, "run", lambda workspace, settings: DUMMY_BENCHMARK))
    promoted = SimpleNamespace(promoted=True, reason="a dummy")
    stack.enter_context(patch.object(scale, "promote", lambda *args, **kwargs: promoted))
    workspace.clips.mkdir(parents=True)
    (workspace.clips / "empty.mp4").touch()


def count_rows(database: Path) -> int:
    """Rows of all tables of Prefect's database."""
    with closing(sqlite3.connect(database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names)  # noqa: S608


def measure(folder: Path, clips: int) -> list[dict[str, Any]]:
    from prefect.client.orchestration import get_client

    workspace = Workspace.open(folder / "workspace")
    listed = folder / "list.csv"
    write_list(listed, clips + HELD_OUT)
    ladder = [rung for rung in LADDER if rung < clips] + [clips]
    requests, rows = Requests(), []
    with ExitStack() as stack:
        stack.enter_context(services(workspace, ray=True))
        dummy_stages(stack, workspace)
        requests.counting(stack)
        from flows.stage_flow import run_stage
        from flows.stages.scale import STAGE as SCALE
        from flows.stages.scale import ScaleBundle

        for rung in ladder:
            began, cpu, before = time.monotonic(), time.process_time(), requests.count
            bundle = ScaleBundle(
                ScaleSettings.build(None, {"ladder": ladder}),
                CollectSettings.build(
                    None,
                    {
                        "source": str(listed),
                        "url_template": "http://127.0.0.1:9/{clip_id}",
                        "min_free_gib": 0,
                        "requests_per_hour": 10**9,
                        "jitter_seconds": 0,
                    },
                ),
                DecodeSettings(),
                TrainSettings.build(None, {"held_out_clips": HELD_OUT}),
                BenchmarkSettings(mot="none"),
            )
            result = run_stage(SCALE, str(workspace.root), bundle)
            assert [reached.clips for reached in result.rungs] == [rung], result
            seconds, used, sent = time.monotonic() - began, time.process_time() - cpu, requests.count - before
            with get_client(sync_client=True) as client:
                tasks = client._client.post("/task_runs/count", json={}).json()
                flows = client._client.post("/flow_runs/count", json={}).json()
            rows.append(
                {
                    "clips": rung,
                    "seconds": round(seconds, 1),
                    "CPU s": round(used, 1),
                    "requests": sent,
                    "flow runs so far": flows,
                    "task runs so far": tasks,
                    "rows of Prefect so far": count_rows(workspace.root / "prefect" / "prefect.db"),
                    "rows of status": st.load_status(workspace).num_rows,
                    "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                }
            )
            click.echo(str(rows[-1]), err=True)
    return rows


@click.command(help=__doc__)
@click.option("--clips", default=500_000, show_default=True, help="The top of the ladder.")
def main(clips: int) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="ssat-scale-"))
    try:
        rows = measure(temporary, clips)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    last = rows[-1]
    shards = -(-(clips + HELD_OUT) // CollectSettings().candidates_per_shard)
    report(
        "scale_control_plane",
        f"the ladder up to {clips:,} clips with dummy work: {sum(row['CPU s'] for row in rows):.0f} CPU-seconds, "
        f"{sum(row['requests'] for row in rows):,} requests",
        rows,
        [
            # One task run for each shard of 200 candidates, two for the shard that a rung ends in, a few for a rung.
            Claim("task runs over shards", last["task runs so far"] / (shards + 8 * len(rows)), at_most=1.1),
            Claim("peak MB", last["peak MB"], at_most=4000),
        ],
    )


if __name__ == "__main__":
    main()
