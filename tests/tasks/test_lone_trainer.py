"""A training of one worker as a Ray task: started again after a lost process and after an error, then given up."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tasks.lone_trainer import LoneTrainer

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_cluster")]


def _tries(config: dict[str, Any]) -> int:
    """The number of this try; the first is killed, the second raises."""
    folder = Path(config["folder"])
    number = len(list(folder.iterdir())) + 1
    (folder / str(number)).touch()
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 2:
        raise ValueError("of the second try")
    return number


def test_a_killed_and_a_failed_try_are_replaced(tmp_path: Path) -> None:
    trainer = LoneTrainer(_tries, {"folder": str(tmp_path)}, use_gpu=False, max_failures=2)
    assert trainer.fit().return_value == 3


def test_the_error_of_the_last_try_is_raised(tmp_path: Path) -> None:
    trainer = LoneTrainer(_tries, {"folder": str(tmp_path)}, use_gpu=False, max_failures=1)
    with pytest.raises(ValueError, match="of the second try"):
        trainer.fit()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
