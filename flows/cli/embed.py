"""`ssat embed`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import get_args

import click

from flows.cli.options import common_options, config_sections, print_json
from ssat.embedding.settings import Device, Precision


@click.command(
    epilog="""\b
Examples:
  ssat embed person1.jpg person2.jpg
  ssat embed patches/*.png --embedder embedder.safetensors --output features.parquet
"""
)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@common_options
@click.option(
    "--embedder",
    "spec",
    help="MLflow run id, models:/NAME/VERSION, file, colour, imagenet, or several with weights (0.3*colour+0.7*FILE); "
    "default the workspace's latest training.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Parquet file for the features: path, feature (float32)."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Images at a time.")
@click.option(
    "--device", type=click.Choice(get_args(Device)), default="auto", show_default=True, help="Where the network runs."
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Arithmetic of the network; auto: bfloat16 where the processor computes it natively.",
)
def command(
    images: tuple[Path, ...],
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    spec: str | None,
    output: Path | None,
    batch_size: int,
    device: Device,
    precision: Precision,
) -> None:
    """Compute features of images of one person each: print their cosines, or write them to a file."""
    from ssat.settings import read_config

    if config:
        read_config(config, config_sections())

    from ssat.workspace import Workspace
    from tasks.checks import check_files
    from tasks.embedders import check_embedder, embedder_files, is_run, resolve_embedder

    opened = Workspace.open(workspace)
    check_files(images)
    check_embedder(spec, opened)

    from rich.console import Console
    from rich.table import Table

    from ssat.embedding.images import embed_images, write_features
    from ssat.output_paths import refuse_inputs_as_outputs
    from tasks.services import mlflow_session

    if output is not None:
        read = [*images, *embedder_files(spec, opened), *([config] if config else [])]
        refuse_inputs_as_outputs([output], read, "name another file with --output")
    with mlflow_session(opened, debug=debug) if is_run(spec) else nullcontext():
        embedder = resolve_embedder(spec, opened, device=device, precision=precision)
    features = embed_images(embedder, images, batch_size)
    if output is not None:
        write_features(output, images, features)
    console = Console(stderr=as_json)
    if output is not None:
        console.print(f"{len(images)} features of {features.shape[1]} numbers in {output}", highlight=False)
    elif len(images) <= 12:
        table = Table(title="cosine between features")
        table.add_column("image")
        for number in range(1, len(images) + 1):
            table.add_column(str(number), justify="right")
        for number, (path, row) in enumerate(zip(images, features @ features.T, strict=True), 1):
            table.add_row(f"{number} {path.name}", *(f"{value:.2f}" for value in row))
        console.print(table)
    else:
        console.print(f"{len(images)} features; name a file with --output to keep them", highlight=False)
    if as_json:
        rows = [{"image": str(path), "feature": row.tolist()} for path, row in zip(images, features, strict=True)]
        print_json({"embedder": embedder.digest, "features": rows})
