"""What collecting costs beside its downloads and its trims.

    python benchmarks/collect.py --clips ../shared/data/clips/trimmed

Control plane: a source that has every clip at once and a trimmer that does nothing: candidates, status rows on disk,
ranks. Whole: real clips from a web server in another process, against a loop of urllib and trim_clip on the same
addresses, which keeps no account of anything, and with --peer against video2dataset, which downloads and stores but
neither cuts nor checks. CPU-seconds of a process and its children.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from support.report import Claim, report

from ssat.clips.collector import Collector
from ssat.clips.lists import Candidate
from ssat.clips.settings import CollectSettings
from ssat.clips.sources import Video
from ssat.clips.sources.chain import Chain
from ssat.clips.stages import DirectStage
from ssat.clips.trim import TrimmedClip, TrimSettings, trim_clip
from ssat.workspace import Workspace

HEADER = "youtube_id,time_start,time_end,split\n"


class DummySource:
    name, network, tool = "dummy", False, "dummy"

    def address(self, candidate: Candidate) -> str:
        return "dummy"

    def fetch(self, candidate: Candidate, folder: Path, stopped: threading.Event) -> Video:
        return Video(Path(os.devnull))


class DummyTrimmers:
    """Every clip comes out at once, each with a digest of its own."""

    def trim(self, source: Path, target: Path, *_: Any) -> TrimmedClip:
        return TrimmedClip(256, 256, 30.0, 300, 10.0, 0, f"{hash(target.name) & (2**64 - 1):064x}", copied=True)

    def close(self) -> None: ...


def cpu() -> float:
    """CPU-seconds of this process and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """(CPU-seconds, seconds) of `work`."""
    began, clock = cpu(), time.monotonic()
    work()
    return cpu() - began, time.monotonic() - clock


def control_plane(folder: Path, clips: int) -> tuple[float, float]:
    source = folder / "dummy.csv"
    source.write_text(HEADER + "".join(f"d{n:07d},0,10,test\n" for n in range(clips)))
    settings = CollectSettings(source=str(source), clips=clips, min_free_gib=0, concurrent_downloads=4)
    collector = Collector(Workspace.open(folder / "control"), settings)
    collector.chain = Chain([DirectStage([DummySource()])])

    def work() -> None:
        with collector:
            collector._attempts._trimmers = DummyTrimmers()  # type: ignore[assignment]
            while shard := collector.next_shard():
                collector.run_shard(shard)
            assert collector.roster.num_rows == clips

    return timed(work)


def through_collector(folder: Path, names: list[str], address: str) -> tuple[float, float]:
    source = folder / "real.csv"
    source.write_text(HEADER + "".join(f"{name},0,10,test\n" for name in names))
    settings = CollectSettings(
        source=str(source),
        clips=len(names),
        url_template=f"{address}/{{clip_id}}.mp4",
        min_free_gib=0,
        workers=1,
        downloads=2,
    )

    def work() -> None:
        with Collector(Workspace.open(folder / "whole"), settings) as collector:
            while shard := collector.next_shard():
                collector.run_shard(shard)
            assert collector.roster.num_rows == len(names)

    return timed(work)


def through_loop(folder: Path, names: list[str], address: str) -> tuple[float, float]:
    folder = folder / "loop"
    folder.mkdir()

    def work() -> None:
        for name in names:
            url = f"{address}/{name}.mp4"
            with urllib.request.urlopen(url) as answer, (folder / "video.mp4").open("wb") as file:  # noqa: S310
                shutil.copyfileobj(answer, file)
            trim_clip(folder / "video.mp4", folder / f"{name}.mp4", TrimSettings(), end_s=10.0)

    return timed(work)


def through_video2dataset(folder: Path, names: list[str], address: str, python: Path) -> tuple[float, float]:
    source = folder / "addresses.csv"
    source.write_text("url\n" + "".join(f"{address}/{name}.mp4\n" for name in names))
    script = Path(__file__).parent / "support" / "peer_downloads.py"
    command = [str(python), str(script), str(source), str(folder / "peer")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    written = len(list((folder / "peer").rglob("*.mp4")))
    assert written == len(names), f"video2dataset stored {written} of {len(names)} videos"
    taken = json.loads(done.stdout.splitlines()[-1])
    return taken["cpu"], taken["seconds"]


@click.command(help=__doc__)
@click.option("--clips", "folder", type=click.Path(path_type=Path), default=None, help="Folder of trimmed clips.")
@click.option("--files", default=160, show_default=True, help="Real clips that are served.")
@click.option("--dummies", default=4000, show_default=True, help="Clips of the dummy source.")
@click.option("--peer", type=click.Path(exists=True, path_type=Path), help="Python of an environment of video2dataset.")
def main(folder: Path | None, files: int, dummies: int, peer: Path | None) -> None:
    folder = folder or Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "clips" / "trimmed"
    names = [path.stem for path in sorted(folder.glob("*.mp4"))[:files]]
    if not names:
        raise click.ClickException(f"{folder}: no clips; give a folder with --clips")
    temporary = Path(tempfile.mkdtemp(prefix="ssat-collect-"))
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        address = f"http://127.0.0.1:{port}"
        loop = through_loop(temporary, names, address)
        whole = through_collector(temporary, names, address)
        stored = through_video2dataset(temporary, names, address, peer) if peer else None
        dummy = control_plane(temporary, dummies)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(temporary, ignore_errors=True)
    rows = [
        {
            "work": what,
            "clips": count,
            "CPU ms a clip": round(1000 * taken[0] / count, 1),
            "clips per CPU-second": round(count / taken[0], 1),
            "clips/s": round(count / taken[1], 1),
        }
        for what, count, taken in (
            ("urllib and trim_clip", len(names), loop),
            ("collector with yt-dlp", len(names), whole),
            *([("video2dataset, downloads alone", len(names), stored)] if stored else []),
            ("collector, dummy source and trimmer", dummies, dummy),
        )
    ]
    overhead = 1000 * (whole[0] - loop[0]) / len(names)
    report(
        "collect",
        f"{len(names)} real clips from a local server; the collector costs {overhead:.0f} CPU-ms a clip more than a "
        "bare loop, yt-dlp and the start of a trimming process among them",
        rows,
        [Claim("clips per CPU-second of the control plane", dummies / dummy[0], 50)],
    )


if __name__ == "__main__":
    main()
