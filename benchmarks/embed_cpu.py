"""Features on a CPU: eager float32, channels_last float32, onnxruntime float32 and int8, on the same real crops.

    python benchmarks/embed_cpu.py --workspace workspace

CPU-seconds of one thread, taken in turns, best of several. The int8 graph is calibrated on clips that were trained
on; speed and cosine are measured on others.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import torch
from support.report import Claim, report

from ssat.embedding.embedder import Embedder
from ssat.embedding.export import export_embedder
from ssat.frames.crops import read_crops
from ssat.frames.store import FrameStore


@click.command()
@click.option("--workspace", type=click.Path(path_type=Path, exists=True), required=True, help="With a frame store.")
@click.option("--embedder", type=click.Path(path_type=Path, exists=True), required=True, help="Safetensors or folder.")
@click.option("--repeats", type=int, default=4, show_default=True)
def main(workspace: Path, embedder: Path, repeats: int) -> None:
    """Measure and report."""
    torch.set_num_threads(1)
    fast = Embedder.load(embedder)
    eager = Embedder.load(embedder)
    eager.network.to(memory_format=torch.contiguous_format)
    store = FrameStore.open(workspace / "frames")
    ranks, size = store.ranks.tolist(), fast.input_size
    calibration, _, _ = read_crops(store, ranks[:48], 2, size, size)
    patches, _, _ = read_crops(store, ranks[-16:], 4, size, size)
    with tempfile.TemporaryDirectory() as folder:
        graphs = {name: export_embedder(fast, name, Path(folder), calibration)[0] for name in ("onnx", "onnx-int8")}
        ways = {"eager float32": eager, "channels_last float32": fast}
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
