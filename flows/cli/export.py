"""`ssat export`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import click

from flows.cli.options import common_options, config_sections, print_json
from ssat.errors import InputError


@click.command(
    epilog="""\b
Examples:
  ssat export --format onnx --output exported
  ssat export --for boxmot --output exported
  ssat export --run models:/ssat-embedder@champion --format safetensors
"""
)
@common_options
@click.option(
    "--run", "spec", help="MLflow run id, models:/NAME/VERSION or file; default the workspace's latest training."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["safetensors", "onnx", "onnx-int8"]),
    default="onnx",
    show_default=True,
    help="onnx-int8 is for CPUs.",
)
@click.option(
    "--for",
    "target",
    type=click.Choice(["boxmot", "ultralytics", "opencv"]),
    help="ONNX in the layout that this project loads: float32 NCHW; with --format onnx.",
)
@click.option("--output", type=click.Path(path_type=Path), default=Path("exported"), show_default=True, help="Folder.")
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    spec: str | None,
    format_: Literal["safetensors", "onnx", "onnx-int8"],
    target: Literal["boxmot", "ultralytics", "opencv"] | None,
    output: Path,
) -> None:
    """Write an embedder with a model card; an ONNX file is checked against torch first."""
    from ssat.settings import read_config

    if config:
        read_config(config, config_sections())

    if target is not None and format_ != "onnx":
        raise InputError(f"--for {target} writes float32 ONNX; expected --format onnx, not {format_}")
    from ssat.workspace import Workspace
    from tasks.embedders import check_embedder, embedder_files, is_run, patches_to_try, resolve_embedder

    opened = Workspace.open(workspace)
    check_embedder(spec, opened)

    from rich.console import Console

    from ssat.embedding.embedder import Embedder
    from ssat.embedding.export import CARD, FILES, export_embedder
    from ssat.embedding.export_for import export_for, file_for
    from ssat.output_paths import refuse_inputs_as_outputs
    from tasks.services import mlflow_session

    read = [*embedder_files(spec, opened), *([config] if config else [])]
    name = FILES[format_] if target is None else file_for(target)
    refuse_inputs_as_outputs([output / name, output / CARD], read, "name another folder with --output")
    with mlflow_session(opened, debug=debug) if is_run(spec) else nullcontext():
        embedder = resolve_embedder(spec, opened)
        if not isinstance(embedder, Embedder):
            raise InputError(f"embedder {spec!r} was not trained here: there is nothing to export; name a training")
        patches, origin = patches_to_try(opened, embedder.input_size)
        if target is None:
            files = export_embedder(embedder, format_, output, patches)
        else:
            files = export_for(embedder, target, output, patches)
    console = Console(stderr=as_json)
    for file in files:
        console.print(f"{file}  {file.stat().st_size / 1e6:.1f} MB", highlight=False, soft_wrap=True)
    if format_ != "safetensors":
        console.print(f"checked against torch on {len(patches)} {origin}", highlight=False)
    if as_json:
        print_json(
            {"files": [str(file) for file in files], "digest": embedder.digest, "format": format_, "for": target}
        )
