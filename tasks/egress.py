"""The egress of all collectors of one Prefect server: a global concurrency limit and a breaker."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from ssat.clips.egress import Breaker, Pause, describe_pause, jitter
from ssat.clips.settings import CollectSettings
from ssat.errors import ServiceError
from ssat.workspace import Workspace

# How long one question for a slot waits: between two of them the collector may be stopped.
_ASK_S = 1.0
# The breaker is read again after this time; reading it before each request would not help.
_FRESH_S = 5.0


class PrefectEgress:
    """Rate limit and breaker by the name of the egress, for all workers on one Prefect server.

    The rate is a global concurrency limit with slot decay, made at the first request where it is missing; one that is
    there already is taken as it is, so that a person may set it in Prefect. The breaker is a Prefect variable, and a
    file in the workspace for the next run on a server of its own.
    """

    def __init__(self, workspace: Workspace, settings: CollectSettings) -> None:
        self.limit = f"ssat-egress-{settings.egress}"
        self.variable = f"ssat_egress_{settings.egress}".replace("-", "_")
        self._per_hour = settings.requests_per_hour
        self._jitter_s = settings.jitter_seconds
        self._breaker = Breaker(workspace.clips / "breaker.json")
        self._lock = threading.Lock()
        self._made = False
        self._read_at = float("-inf")
        self._value_read: Any = None
        self._shared = Pause()

    def wait(self, stopped: threading.Event) -> None:
        """Return when the limit let this caller through, or soon after `stopped` is set.

        Raises:
            ServiceError: the limit was switched off or removed, or the server does not answer.
        """
        from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
        from prefect.concurrency.sync import rate_limit

        with self._lock:
            if not self._made:
                self._make_limit()
                self._made = True
        while not stopped.is_set():
            try:
                rate_limit(self.limit, timeout_seconds=_ASK_S, strict=True)
                break
            except TimeoutError:
                continue
            except ConcurrencySlotAcquisitionError as error:
                raise ServiceError(
                    f"Prefect: the global concurrency limit {self.limit} gave no slot ({error}); see to it with "
                    f"`prefect global-concurrency-limit inspect {self.limit}`, then run again"
                ) from error
        jitter(self._jitter_s, stopped)

    def _make_limit(self) -> None:
        from httpx import HTTPError  # errors that Prefect's client does not wrap
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
        from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException

        decay = self._per_hour / 3600
        try:
            with get_client(sync_client=True) as client:
                try:
                    found = client.read_global_concurrency_limit_by_name(self.limit)
                except ObjectNotFound:
                    wanted = GlobalConcurrencyLimitCreate(name=self.limit, limit=1, slot_decay_per_second=decay)
                    with contextlib.suppress(ObjectAlreadyExists):  # another worker created it at the same time
                        client.create_global_concurrency_limit(wanted)
                    found = client.read_global_concurrency_limit_by_name(self.limit)
        except (HTTPError, PrefectException, RuntimeError, OSError) as error:
            raise ServiceError(
                f"Prefect: the global concurrency limit {self.limit} can neither be read nor made: {error}"
            ) from error
        if not found.active or not found.slot_decay_per_second:
            raise ServiceError(
                f"Prefect: the global concurrency limit {self.limit} is "
                f"{'without slot decay' if found.active else 'switched off'}, so it would not limit anything; run "
                f"`prefect global-concurrency-limit delete {self.limit}` to have it made again"
            )

    def open(self, seconds: float, reason: str) -> None:
        """Open the breaker for every worker of this egress."""
        self._breaker.open(seconds, reason)
        with self._lock:
            self._read_at = float("-inf")
        self._tell(Pause(time.time(), max(seconds, self.pause_s()), reason))

    def pause_s(self) -> float:
        """Return seconds left of the pause, this workspace's or the one that another worker caused."""
        return max(self._breaker.pause_s(), self._read_shared().left_s())

    def pause(self) -> str:
        """Return the pause in words."""
        shared = self._read_shared()
        if (left := shared.left_s()) > self._breaker.pause_s():
            return describe_pause(left, shared.reason)
        return describe_pause(self._breaker.pause_s(), self._breaker.reason)

    def _read_shared(self) -> Pause:
        with self._lock:
            moved = False
            if time.monotonic() - self._read_at > _FRESH_S:
                value = self._value()
                if value != self._value_read:
                    self._value_read, self._shared = value, _parsed(value)
                    moved = self._shared.moved
                self._read_at = time.monotonic()
            shared = self._shared
        if moved:
            self._tell(shared)  # otherwise every worker would see a pause that has just begun
        return shared

    def _tell(self, pause: Pause) -> None:
        from prefect.variables import Variable

        value = {name: getattr(pause, name) for name in ("opened", "seconds", "reason")}
        Variable.set(self.variable, value, overwrite=True)
        with self._lock:
            self._read_at = float("-inf")

    def _value(self) -> Any:
        from prefect.variables import Variable

        try:
            return Variable.get(self.variable)
        except Exception as error:
            raise ServiceError(f"Prefect: the breaker {self.variable} cannot be read: {error}") from error


def _parsed(value: Any) -> Pause:
    try:
        return Pause(float(value["opened"]), float(value["seconds"]), str(value["reason"])[:300])
    except (KeyError, TypeError, ValueError):
        return Pause()  # never set, or set by hand to something else
