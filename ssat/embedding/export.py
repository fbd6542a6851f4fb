"""Export an embedder as safetensors or ONNX, with a model card."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ssat.embedding.embedder import Embedder
from ssat.embedding.identity import HISTOGRAM
from ssat.embedding.network import FEATURE_DIM
from ssat.embedding.onnx_embedder import FACTS_KEY, OnnxEmbedder
from ssat.errors import InputError
from ssat.workspace import committed

Format = Literal["safetensors", "onnx", "onnx-int8"]
FILES = {"safetensors": "embedder.safetensors", "onnx": "embedder.onnx", "onnx-int8": "embedder-int8.onnx"}
CARD = "MODEL_CARD.md"
_OPSET = 18
# Minimum cosine with torch over the patches of the check.
_MIN_COSINE = {"onnx": 0.9999, "onnx-int8": 0.99}


def export_embedder(embedder: Embedder, format_: Format, folder: Path, patches: NDArray[np.uint8]) -> list[Path]:
    """Write `embedder.safetensors`, `embedder.onnx` or `embedder-int8.onnx`, and a model card, into `folder`.

    An ONNX graph takes `patches` (B, S, S, 3) uint8 RGB of any B and gives `features` (B, 512) float32 of unit
    length, as the embedder does. It is run with onnxruntime on `patches` and compared before it is kept. The int8
    graph is for CPUs: weights and activations of the convolutions are 8-bit integers, with ranges taken from `patches`.

    Raises:
        InputError: onnx or onnxruntime is not installed, or the graph's features differ from torch's.
    """
    target = folder / FILES[format_]
    agreement = ""
    if format_ == "safetensors":
        embedder.save(target)
    else:
        with committed(target) as temporary:
            _write_graph(embedder, temporary, patches)
            if format_ == "onnx-int8":
                quantize(temporary, patches)
            _keep_facts(temporary, embedder)
            agreement = _agreement(embedder, temporary, target, patches, _MIN_COSINE[format_])
    card = folder / CARD
    with committed(card) as temporary:
        temporary.write_text(model_card(embedder, target.name, agreement), encoding="utf-8")
    return [target, card]


class _UnitFeatures(nn.Module):
    """The network with the normalisation that `Embedder` does outside it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        return functional.normalize(self.network(patches).float())


def _write_graph(embedder: Embedder, target: Path, patches: NDArray[np.uint8]) -> None:
    # Two patches: with one, the exporter treats the batch size as a constant.
    example = torch.from_numpy(np.ascontiguousarray(np.resize(patches, (2, *patches.shape[1:]))))
    write_onnx(_UnitFeatures(embedder.network).eval(), example.to(embedder.device), target, "patches", "features")


def write_onnx(module: nn.Module, example: Tensor, target: Path, input_name: str, output_name: str) -> None:
    """Write the graph of a module with one input and one output; the batch size stays open.

    Args:
        example: an input with a batch of 2 or more.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed, or torch gave no graph.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError("ONNX export needs onnx, onnxscript and onnxruntime: pip install 'ssat[onnx]'") from error

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of its own use of parts of torch that will change.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[input_name],
            output_names=[output_name],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            opset_version=_OPSET,
            verbose=False,
        )
    if program is None:
        raise InputError(f"{target}: torch exported no ONNX program; use setting `format` safetensors")
    program.save(str(target), external_data=False)


def quantize(graph: Path, patches: NDArray[np.uint8]) -> None:
    """Replace a float32 graph by one whose convolutions and matrix products are int8, ranges taken from `patches`."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Patches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter(np.array_split(patches, max(1, len(patches) // 16)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"patches": batch}

    logging.getLogger().addFilter(_no_advice)
    prepared = graph.with_name(f"{graph.stem}.prepared.onnx")
    try:
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(graph),
            Patches(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Without it, sums of two products overflow 16 bits on CPUs that lack VNNI.
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv", "MatMul", "Gemm", "Add", "MaxPool", "Relu", "GlobalAveragePool"],
        )
    finally:
        prepared.unlink(missing_ok=True)
        logging.getLogger().removeFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    """onnxruntime's quantiser advises on the root logger what is done here already."""
    return not (record.levelno <= logging.WARNING and "quantiz" in record.getMessage().lower())


def _keep_facts(graph: Path, embedder: Embedder) -> None:
    import onnx

    model = onnx.load(str(graph))
    onnx.helper.set_model_props(model, {FACTS_KEY: json.dumps(embedder.facts, sort_keys=True)})
    onnx.save(model, str(graph))


def _agreement(embedder: Embedder, graph: Path, target: Path, patches: NDArray[np.uint8], least_cosine: float) -> str:
    features, expected = OnnxEmbedder(graph)(patches), embedder(patches)
    cosine = float((features * expected).sum(1).min())
    if not cosine >= least_cosine:
        raise InputError(
            f"{target}: onnxruntime's features differ from torch's (least cosine {cosine:.5f} over {len(patches)} "
            f"patches, expected {least_cosine}); nothing was written. Update onnxruntime or use safetensors"
        )
    return f"Compared with torch on {len(patches)} patches in onnxruntime: least cosine {cosine:.6f}."


def model_card(embedder: Embedder, file_name: str, agreement: str = "", layout: str = "") -> str:
    """Markdown: what the embedder is, what it was trained on and how well it does.

    Args:
        layout: of the input, where it is not uint8 patches.
    """
    facts, size = embedder.facts, embedder.input_size
    settings, held_out = facts.get("settings", {}), facts.get("held_out", {})
    shown = {name: value for name, value in sorted(settings.items()) if value is not None}
    lines = [
        "# Appearance embedder",
        "",
        f"`{file_name}`: {embedder.network.architecture}, RGB patches of {size} x {size} pixels "
        f"({layout or 'uint8, 0 … 255, normalisation inside'}) to {FEATURE_DIM} numbers of unit length. Two patches "
        "show the same person the more likely, the higher the dot product of their features.",
        "",
        f"- weights: `{embedder.digest}`",
    ]
    if agreement:
        lines.append(f"- {agreement}")
    lines += ["", "## Training", ""]
    if "parent" in facts:
        lines += [
            f"Beyond the paper, without labels: adapted to one camera, from {facts.get('tracklets', '?')} tracklets of "
            f"its footage `{facts.get('data_digest', '?')}`.",
            "",
            f"- adapted from: `{facts['parent']}`",
            "",
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in shown.items()),
        ]
    elif embedder.network.architecture == HISTOGRAM and settings:
        lines += [
            "Beyond the paper, without labels: a soft colour histogram whose cells, mean and whitening were learned "
            "from patches that optical flow followed through clips.",
            "",
            f"- {facts.get('patches', '?')} patches of {facts.get('clips', '?')} clips, data "
            f"`{facts.get('data_digest', '?')}`",
            "",
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in shown.items()),
        ]
    elif settings:
        lines += [
            "Self-supervised: every clip is a class, its frames are the samples (CosFace). No identity was labelled.",
            "",
            f"- {facts.get('classes', '?')} clips, frame store `{facts.get('data_digest', '?')}`",
            f"- {facts.get('steps', '?')} steps; weights of epoch {facts.get('epoch', 0):g}",
            "",
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in shown.items()),
        ]
    else:
        lines.append("None: random weights.")
    if held_out:
        lines += ["", "## Scores on held-out clips", "", "| score | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in sorted(held_out.items())]
    if probe := facts.get("probe"):
        lines += [
            "",
            "## Probe",
            "",
            "Ranking of pairs of boxes of unlabelled footage, one person against two, at 1, 2 and 3 seconds: "
            f"AUC {probe['auc']:.4f} (95 % interval {probe['auc_low']:.4f} to {probe['auc_high']:.4f}). This score "
            "chose the weights, so on this footage it is biased upwards.",
        ]
    lines += [
        "",
        "## Use",
        "",
        "Made to distinguish people within one video, from frame to frame. It has not been made, or tested, to "
        "recognise a person in another video.",
        "",
    ]
    return "\n".join(lines)
