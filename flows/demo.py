"""The demo: a small rendered world goes through every stage, and three trackers are compared on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.benchmark import benchmark_flow
from flows.collect import collect_flow
from flows.decode import decode_flow
from flows.train import train_flow
from ssat.clips.settings import CollectSettings
from ssat.demo.server import serve
from ssat.demo.settings import DemoSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.tables import score_rows
from ssat.workspace import Workspace
from tasks.demo import METHODS, TITLES, render_world, report_demo, scores_of, wins


@flow(name="demo", persist_result=False)
def demo_flow(workspace: str, settings: DemoSettings) -> dict[str, Any]:
    """Renders, collects over HTTP, decodes, trains, tracks and reports; run again, it does only what is missing.

    Gives the scores of each method under "ssat", "box" and "untrained", SSAT's "sequences" and "overall", "won",
    "minutes" by stage, "files" (json, report, video) and the "train" result.
    """
    opened = Workspace.open(workspace)
    minutes: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        result = work()
        minutes[stage] = round((time.monotonic() - began) / 60, 2)
        return result

    world = timed("render", lambda: render_world(opened, settings))
    with serve(world["clips"].parent) as address:
        timed("collect", lambda: collect_flow(workspace, collect_settings(settings, str(world["clips"]), address)))
    timed("decode", lambda: decode_flow(workspace, decode_settings()))
    train = timed("train", lambda: train_flow(workspace, train_settings(settings)))
    embedders = {"ssat": str(opened.absolute(train.embedder)), "untrained": "untrained", "box": None}
    benchmarks = timed(
        "track",
        lambda: {
            method: benchmark_flow(workspace, _benchmark_settings(str(world["mot"]), embedders[method]))
            for method in METHODS
        },
    )
    files = timed(
        "report", lambda: report_demo(opened, settings, world["mot"], benchmarks, train.rows(), dict(minutes))
    )
    overall = {TITLES[method]: benchmarks[method]["overall"] for method in METHODS}
    create_table_artifact(table=score_rows(overall, first="tracker"), key="demo", description="SSAT's demo world")
    scores = scores_of(benchmarks)
    return {
        **scores,
        "won": wins(scores),
        "files": files,
        "minutes": minutes,
        "train": train,
        "all": overall,
        "sequences": benchmarks["ssat"]["sequences"],
        "overall": benchmarks["ssat"]["overall"],
    }


def collect_settings(settings: DemoSettings, clips: str, address: str) -> CollectSettings:
    """The clips as they are: no larger than rendered, cut only where they are longer than asked."""
    return CollectSettings(
        source=clips,
        url_template=f"{address}/{{clip_id}}.mp4",
        clips=settings.clips,
        clip_seconds=settings.clip_seconds,
        encoder_preset="veryfast",
    )


def decode_settings() -> DecodeSettings:
    """Small frames, a fifth of them: the world is small."""
    return DecodeSettings(short_side=96, frame_stride=5)


def train_settings(settings: DemoSettings) -> TrainSettings:
    """A small network on small crops, few steps. Few classes want a smaller scale than the paper's."""
    return TrainSettings.build(
        None,
        {
            "clips": settings.clips - settings.held_out_clips,
            "held_out_clips": settings.held_out_clips,
            "architecture": "resnet18",
            "crop": 32,
            "short_side": 96,
            "area_min": 0.3,
            "aspect_min": 1 / 3,
            "aspect_max": 4 / 3,
            "flip": True,
            "brightness": 0.2,
            "contrast": 0.2,
            "scale": 30.0,
            "margin": 0.35,
            "epochs": settings.epochs,
            "batch_size": 64,
            "learning_rate": 0.05,
            "schedule": "cosine",
            "evaluate_every": max(1, settings.epochs // 4),
            "workers": 2,
            "device": "cpu",
        },
    )


def _benchmark_settings(mot: str, embedder: str | None) -> BenchmarkSettings:
    # The constants of `quick`, as for every embedder that was trained this shortly.
    tracker = "box" if embedder is None else "ssat"
    given = {"mot": mot, "split": "train", "tracker": tracker, "embedder": embedder, "video": False}
    return BenchmarkSettings.build("quick", given)
