"""`python -m infra.drills`: runs the drills one after the other and writes the table."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from infra.drills import faults, world
from infra.drills.faults import DRILLS, Drill, Scene
from infra.services import processes
from infra.services.definitions import NAMES
from infra.services.stack import Stack

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_SERVICES = tuple(name for name in NAMES if name != "prefect-worker")
_MARK = "<!-- drills -->"
_STARTS = 6
_PATIENCE_S = 900.0
_SMALL_DISK = {"collect": "160k", "decode": "400k"}
_REFUSED = 2


@click.command()
@click.option("--only", default="", help="Run the drills whose title holds this")
@click.option("--outage", "outage_s", default=60.0, show_default=True, help="Seconds of a network loss")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder to work in; default: a temporary one")
@click.option("--page", type=click.Path(path_type=Path), default=_PAGE, help="Where the table goes")
def main(only: str, outage_s: float, folder: Path | None, page: Path) -> None:
    """Disturb each part in the middle of each stage; exit code 1 where something was lost, doubled or changed."""
    chosen = [drill for drill in DRILLS if only in drill.title]
    if any(drill.faked_clock for drill in chosen) and not faults.FAKETIME.exists():
        raise click.ClickException("the clock drill needs libfaketime; on Debian: apt-get install libfaketime")
    # Postgres' account has to get through to its folder: not below a home that is closed to others.
    base = folder or Path(tempfile.mkdtemp(prefix="ssat-drills-", dir="/tmp"))
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o711)
    stack = Stack(base / "services")
    # A signal must not leave the services running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rows: list[dict[str, Any]] = []
    try:
        stack.prepare(usual_ports=False)
        stack.up(_SERVICES)
        world.render(base / "world")
        calm, seconds = _undisturbed(stack, base)
        for drill in chosen:
            rows.append(_run(drill, stack, base, calm[drill.stage], seconds[drill.stage], outage_s))
            click.echo(_line(rows[-1]))
            (base / "drills.json").write_text(json.dumps(rows, indent=1))
            _write(page, rows)
    finally:
        stack.down()
        if folder is None:
            shutil.rmtree(base, ignore_errors=True)
    if any(row["result"] != "the same" for row in rows):
        raise SystemExit(1)


def _undisturbed(stack: Stack, base: Path) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Each stage once, and a copy of the workspace before it: (fingerprint after it, seconds it took) by stage."""
    workspace, calm, seconds = base / "calm", {}, {}
    for stage in world.STAGES:
        if (base / f"before-{stage}").exists():
            shutil.rmtree(base / f"before-{stage}")
        workspace.mkdir(exist_ok=True)
        shutil.copytree(workspace, base / f"before-{stage}")
        began = time.monotonic()
        command = world.begin(stage, stack, base / "world", workspace, base / "calm.log")
        if command.wait(_PATIENCE_S):
            raise RuntimeError(
                f"{stage} fails undisturbed; {base / 'calm.log'}\n{processes.last_lines(base / 'calm.log')}"
            )
        seconds[stage] = time.monotonic() - began
        calm[stage] = world.fingerprint(workspace)
        click.echo(f"undisturbed {stage}: {seconds[stage]:.0f} s")
    return calm, seconds


def _run(
    drill: Drill, stack: Stack, base: Path, calm: dict[str, Any], calm_s: float, outage_s: float
) -> dict[str, Any]:
    """One drill: the stage begun, struck, healed, begun again until it is done, and compared."""
    folder = base / "drill"
    log = base / "logs" / f"{drill.title.replace(' ', '-').replace(':', '')}.log"
    log.parent.mkdir(exist_ok=True)
    stack.up(_SERVICES)
    row: dict[str, Any] = {"drill": drill.title, "undisturbed_s": round(calm_s), "starts": 1}
    since_ms = int(time.time() * 1000)
    with ExitStack() as cleanup:
        shutil.rmtree(folder, ignore_errors=True)
        if drill.small_disk:
            _small_disk(folder, _SMALL_DISK[drill.stage], cleanup, base / f"before-{drill.stage}")
        else:
            shutil.copytree(base / f"before-{drill.stage}", folder)
        clock = base / "clock"
        clock.write_text("+0\n")
        more = _faked(clock) if drill.faked_clock else {}
        command = world.begin(drill.stage, stack, base / "world", folder, log, more)
        others = [world.begin(drill.stage, stack, base / "world", folder, log)] if drill.twice else []
        scene = Scene(stack, folder, command, clock, outage_s)
        deadline = time.monotonic() + _PATIENCE_S
        while not drill.due(scene):
            if command.poll() is not None or time.monotonic() > deadline:
                return row | {"result": f"the stage ended before the fault was due ({command.returncode})"}
            time.sleep(0.01)
        struck = time.monotonic()
        drill.strike(scene)
        codes = [_ended(process) for process in (command, *others)]
        row["first"] = " and ".join(_outcome(code) for code in codes)
        if drill.small_disk:
            _more_room(folder)
        stack.up(_SERVICES)
        code = codes[0] if not drill.twice else int(0 not in codes)
        while code != 0 and row["starts"] < _STARTS:
            row["starts"] += 1
            code = _ended(world.begin(drill.stage, stack, base / "world", folder, log))
        row["recovered_s"] = round(time.monotonic() - struck)
        row["result"] = _compare(folder, calm, code, drill, stack, since_ms)
    return row


def _compare(folder: Path, calm: dict[str, Any], code: int, drill: Drill, stack: Stack, since_ms: int) -> str:
    if code:
        return f"does not come to its end (exit code {code})"
    try:
        found = world.fingerprint(folder)
    except ValueError as error:
        return str(error)
    if found != calm:
        return "differs: " + ", ".join(key for key in calm if found.get(key) != calm[key])
    if drill.stage == "train":
        counts = world.recorded(stack, since_ms)
        if (counts.get("ssat-train"), counts["versions"]) != (1, 1):
            return f"MLflow holds {counts.get('ssat-train')} finished runs and {counts['versions']} model versions"
    return "the same"


def _ended(command: subprocess.Popen[bytes]) -> int:
    try:
        return command.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        faults.kill_flow(Scene(Stack(Path("/nonexistent")), Path(), command, Path(), 0))
        return -99


def _outcome(code: int) -> str:
    if code == 0:
        return "went on"
    return {-9: "killed", _REFUSED: "said what to do (exit code 2)", -99: "hung"}.get(code, f"exit code {code}")


def _faked(clock: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(faults.FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _small_disk(folder: Path, size: str, cleanup: ExitStack, source: Path) -> None:
    """A file system with `size` bytes beyond what is in `source`."""
    folder.mkdir()
    held = sum(-(-path.stat().st_size // 4096) * 4 for path in source.rglob("*") if path.is_file())
    total = held + int(size.removesuffix("k"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={total}k", "tmpfs", str(folder)], check=True)
    cleanup.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
    shutil.copytree(source, folder, dirs_exist_ok=True)


def _more_room(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)


def _line(row: dict[str, Any]) -> str:
    return (
        f"| {row['drill']} | {row.get('first', '')} | {row['starts']} | {row.get('recovered_s', '')} | "
        f"{row['undisturbed_s']} | {row['result']} |"
    )


def _write(page: Path, rows: list[dict[str, Any]]) -> None:
    """Puts the table between the two marks of the page; a page that is not there becomes one of the table alone."""
    table = [
        "| drill | the command | starts | seconds until done | undisturbed | workspace, weights and scores |",
        "|---|---|---|---|---|---|",
        *map(_line, rows),
    ]
    before, _, rest = (page.read_text() if page.exists() else "").partition(_MARK)
    after = rest.partition(_MARK)[2]
    page.write_text(f"{before}{_MARK}\n" + "\n".join(table) + f"\n{_MARK}{after}")


if __name__ == "__main__":
    sys.exit(main())
