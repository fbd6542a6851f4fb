"""`ssat serve`: scheduled flows on one machine."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import click

from flows.cli.options import common_options, config_sections, preset_option, print_json


@click.command(
    epilog="""\b
Examples:
  ssat serve --workspace workspace --config ssat.toml
  ssat serve verify --workspace workspace --prefect-port 4200
"""
)
@click.argument("names", nargs=-1, metavar="[FLOW]...")
@click.option("--file", "file", type=click.Path(path_type=Path), help="Another file than this project's prefect.yaml.")
@click.option(
    "--prefect-port", type=click.IntRange(0, 65535), default=0, help="Port of the embedded Prefect; 0: a free one."
)
@click.option("--limit", type=click.IntRange(1), default=2, show_default=True, help="Flow runs at the same time.")
@preset_option
@common_options
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    limit: int,
    prefect_port: int,
    file: Path | None,
    names: tuple[str, ...],
) -> None:
    """Run the deployments of prefect.yaml on their schedules on this machine, without a work pool; Ctrl-C stops.

    Uses the Prefect server of PREFECT_API_URL, or one on loopback with its database in the workspace, whose page can
    start, cancel, suspend and retry runs. A schedule that was switched off on the page stays off.
    """
    from flows.deployment_file import check_deployments, prefect_file
    from ssat.settings import read_config
    from ssat.workspace import Workspace

    sections = read_config(config, config_sections()) if config else {}
    path = prefect_file(file)
    check_deployments(path, names)
    opened = Workspace.open(workspace)
    with ExitStack() as stack:
        if not os.environ.get("PREFECT_API_URL"):
            from tasks.prefect_server import PrefectServer

            home = Path(os.environ.get("PREFECT_HOME") or opened.root / "prefect").expanduser()
            server = PrefectServer(home, port=prefect_port, pages=True)
            stack.callback(server.stop)
            server.start()
            server.wait(300)
            os.environ.update({"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(home)})
        from tasks.services import prefect_session

        api = stack.enter_context(prefect_session(opened, debug=debug))
        from prefect.client.orchestration import get_client
        from prefect.runner import Runner

        from flows.registration import build_deployments, keep_paused, read_entries, save_webhook

        entries = read_entries(path, names)
        made = build_deployments(path, entries, workspace, preset, sections, work_pool=False)
        with get_client(sync_client=True) as client:
            for entry, deployment in zip(entries, made, strict=True):
                keep_paused(client, entry, deployment)
        save_webhook()
        runner = Runner(limit=limit, pause_on_shutdown=False)
        for deployment in made:
            runner.add_deployment(deployment)
        # Printed once they exist: a reader of this line may start them.
        served = [f"{entry.flow_name}/{entry.name}" for entry in entries]
        if as_json:
            print_json({"api": api, "deployments": served})
        else:
            click.echo(f"Prefect  {api.removesuffix('/api')}\nserves   {', '.join(served)}\nCtrl-C stops.")
        asyncio.run(runner.start())
