"""Every benchmark starts: nothing that it imports is missing."""

import subprocess
import sys
from pathlib import Path

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
