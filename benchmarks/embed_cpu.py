"""Features on a CPU: eager, channels_last in float32 and bfloat16, onnxruntime in float32 and int8, on real crops.

    python benchmarks/embed_cpu.py --clips ../shared/data/clips/trimmed --embedder workspace/training/<folder>
    python benchmarks/embed_cpu.py --architecture resnet50 --size 224

CPU-seconds of one thread, taken in turns, best of several. The int8 graph is calibrated on other clips than
those on which speed and cosine are measured.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import get_args

import click
import torch
from support.report import Claim, report
from support.stores import store_of

from ssat.embedding.device import dtype_of
from ssat.embedding.embedder import Embedder
from ssat.embedding.export import export_embedder
from ssat.embedding.settings import Architecture, Precision
from ssat.frames.crops import read_crops


@click.command()
@click.option("--clips", type=click.Path(path_type=Path), default=None, help="Folder of trimmed clips.")
@click.option("--embedder", type=click.Path(path_type=Path), default=None, help="File or folder; default untrained.")
@click.option("--architecture", type=click.Choice(get_args(Architecture)), default="resnet18", help="If untrained.")
@click.option("--size", type=int, default=112, show_default=True, help="Side of the patches, if untrained.")
@click.option("--patches", "wanted", type=int, default=64, show_default=True, help="Measured on so many.")
@click.option("--repeats", type=int, default=4, show_default=True)
def main(
    clips: Path | None, embedder: Path | None, architecture: Architecture, size: int, wanted: int, repeats: int
) -> None:
    """Measure and report."""
    torch.set_num_threads(1)
    clips = clips or Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "clips" / "trimmed"
    videos = sorted(clips.glob("*.mp4"))[-64:]
    if len(videos) < 2:
        raise click.ClickException(f"{clips}: fewer than 2 clips; give a folder with --clips")
    precisions: tuple[Precision, ...] = ("float32", "float32", "bfloat16")
    fast, eager, half = (
        Embedder.load(embedder, device="cpu", precision=precision)
        if embedder
        else Embedder.untrained(architecture, size, device="cpu", precision=precision)
        for precision in precisions
    )
    eager.network.to(memory_format=torch.contiguous_format)
    size, split = fast.input_size, len(videos) * 3 // 4
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder) / "frames", videos, stride=30)
        class_ids = store.class_ids.tolist()
        calibration, _, _ = read_crops(store, class_ids[:split], 2, size, size)
        patches = read_crops(store, class_ids[split:], 4, size, size)[0][:wanted]
        graphs = {name: export_embedder(fast, name, Path(folder), calibration)[0] for name in ("onnx", "onnx-int8")}
        ways = {"eager float32": eager, "channels_last float32": fast}
        if dtype_of("auto", torch.device("cpu")) == torch.bfloat16:  # elsewhere it is emulated, and slow
            ways["channels_last bfloat16"] = half
        ways |= {f"onnxruntime {name}": Embedder.load(graph) for name, graph in graphs.items()}
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(repeats + 1):
            for name, way in ways.items():
                began = time.process_time()
                way(patches)
                best[name] = min(best[name], time.process_time() - began)
        expected = eager(patches)
        cosine = {name: float((way(patches) * expected).sum(1).min()) for name, way in ways.items()}
    rows = [
        {
            "way": name,
            "patches per CPU-second": round(len(patches) / seconds, 1),
            "times eager": round(best["eager float32"] / seconds, 2),
            "least cosine": round(cosine[name], 5),
        }
        for name, seconds in best.items()
    ]
    report(
        "embed_cpu",
        f"{fast.network.architecture}, {size} px, {len(patches)} patches, batch 64, one thread",
        rows,
        [
            Claim("int8 against eager float32", best["eager float32"] / best["onnxruntime onnx-int8"], 2.0),
            Claim("least cosine of int8 features", cosine["onnxruntime onnx-int8"], 0.99),
        ],
    )


if __name__ == "__main__":
    main()
