import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import av
import numpy as np
import pytest

from ssat.clips.settings import CollectSettings
from ssat.errors import InputError
from ssat.workspace import Workspace


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Five short videos served on loopback."""
    folder = tmp_path / "site"
    folder.mkdir()
    for number in range(5):
        with av.open(str(folder / f"v{number}.mp4"), "w") as output:
            stream = output.add_stream("libx264", rate=30, width=64, height=48, options={"preset": "ultrafast"})
            for shade in range(90 + number):
                picture = np.full((48, 64, 3), 40 * number + shade % 30, np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            output.mux(stream.encode(None))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{{clip_id}}.mp4"
    server.shutdown()
    server.server_close()


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server")
def test_the_flow_runs_a_task_per_shard_and_tells_prefect_no_secret(
    mirror: str,
    workspace: Workspace,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tasks import collect
    from tasks.services import services

    monkeypatch.setattr(collect, "TELL_EVERY_S", 0.0)
    told: list[float] = []
    update = collect.update_progress_artifact

    def note(artifact: UUID, progress: float, **more: str) -> None:
        told.append(progress)
        update(artifact, progress, **more)

    monkeypatch.setattr(collect, "update_progress_artifact", note)

    source = tmp_path / "list.csv"
    rows = "".join(f"v{number},0,10,test\n" for number in range(5))
    source.write_text(f"youtube_id,time_start,time_end,split\n{rows}absent,0,10,test\nbad,9,1,test\n")
    settings = CollectSettings(
        source=str(source), url_template=mirror, clips=5, shard_size=2, workers=1, proxy="http://u:PROXYPASSWORD@h:1"
    )
    with services(workspace):
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter

        from flows.stage_flow import stage_flow

        collect_flow = stage_flow("collect")

        result = collect_flow(str(workspace.root), settings)
        assert {20.0, 40.0, 60.0, 80.0, 100.0} <= set(told)  # while the clips come in, not only between shards
        assert told[-1] == 100.0
        assert (result.clips, result.by_class["ok"], result.rejected) == (5, 5, 1)
        again = collect_flow(str(workspace.root), settings)
        assert (again.clips, again.attempted) == (5, 0)
        empty = tmp_path / "empty.csv"
        empty.write_text("youtube_id,time_start,time_end,split\nabsent,0,10,test\n")
        with pytest.raises(InputError, match="no clip could be collected"):
            collect_flow(str(tmp_path / "other"), settings.model_copy(update={"source": str(empty)}))
        with get_client(sync_client=True) as client:
            # The server is shared with other tests: only the runs on this test's own workspaces count.
            runs = [run for run in client.read_flow_runs() if str(tmp_path) in str(run.parameters)]
            these = FlowRunFilter(id={"any_": [run.id for run in runs]})
            tasks = client.read_task_runs(flow_run_filter=these)
            logs = client.read_logs()
            artifacts = client.read_artifacts(flow_run_filter=these)
    assert len(runs) == 3
    assert "PROXYPASSWORD" not in str([runs, tasks, artifacts, logs])
    # 5 or 6 candidates in shards of at most 2, and 1 in the other workspace.
    assert len(tasks) >= 4
    assert all(task.name.startswith("clips ") for task in tasks)
    tables = [str(artifact.data) for artifact in artifacts if artifact.key == "clips"]
    shares = [artifact.data for artifact in artifacts if artifact.key == "clips-ranks"]
    assert len(shares) >= 4
    assert max(shares) == 100.0
    progress = [json.loads(artifact.data)[0] for artifact in artifacts if artifact.key == "clips-progress"]
    assert {row["done"] - row["of"] for row in progress} == {0}
    assert {row["in flight"] for row in progress} == {0}
    assert any(row["failed"] and "GONE" in row["last failure"] for row in progress)
    assert any("'outcome': 'ok', 'clips': 5" in table.replace('"', "'") for table in tables)
    shown = capfd.readouterr()
    assert "PROXYPASSWORD" not in shown.out + shown.err
    stored = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert not [path for path in stored if b"PROXYPASSWORD" in path.read_bytes()]
