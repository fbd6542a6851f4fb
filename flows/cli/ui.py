"""`ssat ui`: the pages of Prefect and MLflow over a workspace."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from flows.cli.options import common_options, print_json


@click.command(epilog="\b\nExample: ssat ui --workspace demo\n         ssat ui --prefect-port 4200 --mlflow-port 5000")
@click.option("--prefect-port", type=click.IntRange(0, 65535), default=0, help="Port of Prefect's page; 0: a free one.")
@click.option("--mlflow-port", type=click.IntRange(0, 65535), default=0, help="Port of MLflow's page; 0: a free one.")
@common_options
def command(
    workspace: str, config: Path | None, as_json: bool, debug: bool, prefect_port: int, mlflow_port: int
) -> None:
    """Open the pages of Prefect and MLflow on loopback, and wait; Ctrl-C stops both.

    They show what the commands of this workspace recorded with the embedded services. Servers that PREFECT_API_URL or
    MLFLOW_TRACKING_URI name have pages of their own.
    """
    from flows.cli.options import config_sections
    from ssat.settings import read_config
    from ssat.workspace import Workspace
    from tasks.pages import pages

    if config is not None:
        read_config(config, config_sections())
    stopped = threading.Event()
    with pages(Workspace.open(workspace), prefect_port=prefect_port, mlflow_port=mlflow_port) as addresses:
        if as_json:
            print_json({"prefect": addresses.prefect, "mlflow": addresses.mlflow})
        else:
            click.echo(f"Prefect  {addresses.prefect}\nMLflow   {addresses.mlflow}\nCtrl-C stops both.")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _signal, _frame: stopped.set())
        stopped.wait()
    click.echo("Both pages are stopped.", err=True)
