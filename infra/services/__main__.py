"""`python -m infra.services up | down | check | env`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from infra.services.definitions import NAMES
from infra.services.stack import Stack

_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("workspace/services"),
    show_default=True,
    help="Where the services keep their state",
)


@click.group()
def main() -> None:
    """The servers of infra/compose.yaml as plain processes on loopback."""


@main.command()
@_FOLDER
@click.option("--free-ports", is_flag=True, help="Take any free ports instead of the usual ones")
def up(folder: Path, free_ports: bool) -> None:
    """Start what does not run yet, wait until all answer, and say how they are named."""
    stack = Stack(folder)
    try:
        stack.prepare(usual_ports=not free_ports)
        click.echo("Starting " + ", ".join(NAMES) + " …", err=True)
        stack.up()
    except (OSError, LookupError) as error:
        stack.down()
        raise click.ClickException(f"services: {error}") from error
    file = stack.root / "environment"
    file.touch(mode=0o600)
    file.write_text(_exports(stack))
    for which in ("prefect", "mlflow", "ray"):
        click.echo(f"{which:8} {stack.page(which)}")
    click.echo(f"\nIn a shell that is to use them:  . {shlex.quote(str(file))}\n")
    click.echo("\n".join(line for line in _exports(stack).splitlines() if "PASSWORD" not in line))


@main.command()
@_FOLDER
@click.option("--remove", is_flag=True, help="Remove databases and artifacts as well")
def down(folder: Path, remove: bool) -> None:
    """Stop exactly what `up` started; keep the data by default."""
    stack = Stack(folder)
    stopped = stack.down()
    click.echo("stopped: " + (", ".join(stopped) or "nothing ran"))
    if remove:
        stack.remove()


@main.command()
@_FOLDER
def check(folder: Path) -> None:
    """Ask each service for an answer; exit code 1 where one does not."""
    stack = Stack(folder)
    well = True
    for name in NAMES:
        answer = "was not started"
        if stack.started(name) is not None:
            try:
                answer = "answers" if stack.answers(name) else "does not answer"
            except (OSError, ValueError) as error:
                answer = f"does not answer ({error})"
        well = well and answer == "answers"
        click.echo(f"{name:15} {answer}")
    if not well:
        raise SystemExit(1)


@main.command()
@_FOLDER
def env(folder: Path) -> None:
    """Print the environment that names the services, with its secrets, for `eval`."""
    stack = Stack(folder)
    if not stack.exists:
        raise click.ClickException("services: nothing was started here; `make services` first")
    click.echo(_exports(stack), nl=False)


def _exports(stack: Stack) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in stack.environment().items())


if __name__ == "__main__":
    main()
