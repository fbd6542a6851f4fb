"""Every benchmark starts, for nothing that it imports is missing, and can say what it found."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

_FOLDER = Path(__file__).parents[2] / "benchmarks"
# In one process, for most of the time is the import of libraries that they share.
_IMPORT_ALL = """
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
names = sorted(path.stem for path in pathlib.Path(sys.argv[1]).glob("*.py"))
print(sum(callable(importlib.import_module(name).main) for name in names))
"""


def test_all_of_them_can_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, str(_FOLDER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(list(_FOLDER.glob("*.py"))) > 10


def test_a_report_with_numbers_of_numpy_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_FOLDER))
    from support import report as reports

    monkeypatch.setattr(reports, "RESULTS", tmp_path)
    rows = [{"way": "ours", "rate": 12.5}]
    reports.report("one", "small", rows, [reports.Claim("ratio", np.float64(2.5), np.float64(2.0))])
    assert json.loads((tmp_path / "one.json").read_text())["claims"][0]["holds"] is True
    with pytest.raises(SystemExit) as ended:
        reports.report("one", "small", rows, [reports.Claim("ratio", np.float64(1.5), np.float64(2.0))])
    assert ended.value.code == 1
    assert json.loads((tmp_path / "one.json").read_text())["claims"][0]["holds"] is False
