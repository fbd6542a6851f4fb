"""A training of one worker as a plain Ray task, where Ray Train would start five processes to look after a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LoneResult:
    """What `LoneTrainer.fit` gives, in the form of Ray Train's result."""

    return_value: Any


class LoneTrainer:
    """Ray Train's `TorchTrainer` as far as a training of one worker needs it: start, start again, end."""

    def __init__(
        self, function: Callable[[dict[str, Any]], Any], config: Mapping[str, Any], *, use_gpu: bool, max_failures: int
    ) -> None:
        self._function = function
        self._config = dict(config)
        self._use_gpu = use_gpu
        self._max_failures = max_failures

    def fit(self) -> LoneResult:
        """Run the function with its configuration and return its result; the task ends with an interrupt.

        Raises:
            RayError: every try failed, of `max_failures` and the first.
        """
        import ray

        task = ray.remote(
            num_cpus=1, num_gpus=int(self._use_gpu), max_retries=self._max_failures, retry_exceptions=True
        )(self._function)
        reference = task.remote(self._config)
        try:
            return LoneResult(ray.get(reference))
        except BaseException:
            ray.cancel(reference, force=True)
            raise
