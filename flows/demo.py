"""The demo: a small rendered world goes through every stage, and three trackers are compared on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.stages.collect import STAGE as COLLECT
from flows.stages.decode import STAGE as DECODE
from flows.stages.train import STAGE as TRAIN
from ssat.clips.settings import CollectSettings
from ssat.demo.server import serve
from ssat.demo.settings import DemoSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.tables import score_rows
from ssat.workspace import Workspace
from tasks.demo import METHODS, TITLES, DemoFiles, DemoResult, World, render_world, report_demo, scores_of, wins

_Result = TypeVar("_Result")


def run_demo(workspace: Workspace, settings: DemoSettings) -> DemoResult:
    """Render, collect over HTTP, decode, train, track and report; run again, it does only what is missing."""
    place = workspace.address
    minutes: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], _Result]) -> _Result:
        began = time.monotonic()
        result = work()
        minutes[stage] = round((time.monotonic() - began) / 60, 2)
        return result

    world: World = timed("render", lambda: render_world(workspace, settings))
    with serve(world.clips.parent) as address:
        timed("collect", lambda: run_stage(COLLECT, place, collect_settings(settings, str(world.clips), address)))
    timed("decode", lambda: run_stage(DECODE, place, decode_settings()))
    train = timed("train", lambda: run_stage(TRAIN, place, train_settings(settings)))
    embedders = {"ssat": str(workspace.absolute(train.embedder)), "untrained": "untrained", "box": None}
    benchmarks = timed(
        "track",
        lambda: {
            method: run_stage(BENCHMARK, place, _benchmark_settings(str(world.mot), embedders[method]))
            for method in METHODS
        },
    )
    files: DemoFiles = timed(
        "report", lambda: report_demo(workspace, settings, world.mot, benchmarks, train.rows(), dict(minutes))
    )
    overall = {TITLES[method]: benchmarks[method].overall for method in METHODS}
    table = score_rows({title: scored.as_json() for title, scored in overall.items()}, first="tracker")
    create_table_artifact(table=table, key="demo", description="SSAT's demo world")
    scores = scores_of(benchmarks)
    return DemoResult(scores, wins(scores), files, minutes, train, overall, benchmarks["ssat"])


def collect_settings(settings: DemoSettings, clips: str, address: str) -> CollectSettings:
    """Return the clips as they are: no larger than rendered, cut only where they are longer than asked."""
    return CollectSettings(
        source=clips,
        url_template=f"{address}/{{clip_id}}.mp4",
        clips=settings.clips,
        clip_seconds=settings.clip_seconds,
        encoder_preset="veryfast",
    )


def decode_settings() -> DecodeSettings:
    """Return the settings of decoding: small frames, a fifth of them."""
    return DecodeSettings(short_side=96, frame_stride=5)


def train_settings(settings: DemoSettings) -> TrainSettings:
    """Return a small network on small crops, few steps. Few classes want a smaller scale than the paper's."""
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
    # The constants of `quick`, for briefly trained embedders.
    tracker = "box" if embedder is None else "ssat"
    given = {"mot": mot, "split": "train", "tracker": tracker, "embedder": embedder, "video": False}
    return BenchmarkSettings.build("quick", given)
