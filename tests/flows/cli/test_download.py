"""`ssat download` against a web server on loopback."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli import run
from ssat.demo.server import serve
from ssat.workspace import sha256_of


def test_a_data_set_is_fetched_unpacked_and_told(
    make_sequence: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sequence(tmp_path / "MOT20" / "train", "MOT20-01", n_frames=2)
    served = tmp_path / "served"
    served.mkdir()
    archive = served / "MOT20.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((tmp_path / "MOT20").rglob("*")):
            packed.write(path, path.relative_to(tmp_path))
    with serve(served) as address:
        code = run(
            ["download", "mot20", "--url", f"{address}/MOT20.zip", "--workspace", str(tmp_path / "work"), "--json"]
        )
    out, err = capsys.readouterr()
    assert code == 0, err
    folder = tmp_path / "work" / "mot" / "MOT20"
    result = json.loads(out.splitlines()[-1])
    assert result == {
        "name": "MOT20",
        "folder": str(folder),
        "url": f"{address}/MOT20.zip",
        "bytes": archive.stat().st_size,
        "sha256": sha256_of(archive),
        "licence": "CC BY-NC-SA 3.0: non-commercial use, with attribution",
    }
    assert (folder / "train" / "MOT20-01" / "seqinfo.ini").is_file()
    assert "CC BY-NC-SA 3.0" in err.splitlines()[0], "the licence is told before anything is fetched"


def test_without_a_name_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["download", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["data_sets"]
    assert [data_set["name"] for data_set in listed][:4] == ["MOT15", "MOT16", "MOT17", "MOT20"]
    assert {data_set["name"] for data_set in listed if not data_set["archive"]} == {"DanceTrack", "SportsMOT", "KITTI"}
