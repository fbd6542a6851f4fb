"""The tracker is imported without the heavy packages: what takes seconds is imported when it is used."""

import subprocess
import sys

_HEAVY = ("torch", "torchvision", "scipy", "cv2", "av", "pandas", "pyarrow", "matplotlib", "prefect", "ray", "mlflow")


def test_importing_the_tracker_imports_nothing_heavy() -> None:
    script = f"import sys, ssat, ssat.tracking; print([name for name in {_HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
