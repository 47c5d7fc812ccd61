"""A device without a GPU on which every kernel takes as long as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from fake_device import FakeDevice

from webllm_py.gpu.device import Dispatch, Plan
from webllm_py.gpu.kernels import Kernel

__all__ = ["TimedDevice"]

TELL_SECONDS = 3e-4  # from the end of the work to who waits for it


class TimedDevice(FakeDevice):
    """Advances its own clock, ``now``.

    Args:
        seconds_of: of a dispatch, on the GPU.
        compile_seconds: of a kernel that is not compiled yet.
        record_seconds: of a dispatch of a plan.
        tick: what its timestamps are rounded down to; None if it has none.
    """

    def __init__(
        self,
        seconds_of: Callable[[Dispatch], float],
        *,
        compile_seconds: float = 0.0,
        record_seconds: float = 0.0,
        tick: float | None = 1e-8,
        is_cpu: bool = False,
    ):
        super().__init__(is_cpu=is_cpu)
        if tick:
            self.info = replace(self.info, features=frozenset({"timestamp-query"}))
        self.seconds_of = seconds_of
        self.compile_seconds = compile_seconds
        self.record_seconds = record_seconds
        self.tick = tick
        self.now = 100.0
        self.gpu_now = 0.0
        self.timed: list[Plan] = []
        self._compiled: set[Kernel] = set()

    def clock(self) -> float:
        """Stands for ``time.perf_counter``."""
        return self.now

    async def compile(self, kernels: Iterable[Kernel]) -> None:
        new = set(kernels) - self._compiled
        await super().compile(new)
        self._compiled |= new
        self.now += self.compile_seconds * len(new)

    async def record(self, label: str, dispatches: Sequence[Dispatch]) -> Plan:
        await self.compile(dispatch.kernel for dispatch in dispatches)
        self.now += self.record_seconds * len(dispatches)
        return await super().record(label, dispatches)

    def replay(self, plan: Plan, times: int = 1) -> None:
        super().replay(plan, times)
        self._run(plan, times)

    def _run(self, plan: Plan, times: int = 1) -> float:
        seconds = times * sum(self.seconds_of(dispatch) for dispatch in plan.dispatches)
        self.now += seconds
        self.gpu_now += seconds
        return seconds

    async def time_plans(self, plans: Sequence[Plan]) -> list[float]:
        assert self.tick, "no timestamp-query"
        self.timed += plans
        found = []
        for plan in plans:
            begin = self.gpu_now // self.tick
            self._run(plan)
            found.append((self.gpu_now // self.tick - begin) * self.tick)
        await self.idle()
        return found

    async def idle(self) -> None:
        self.now += TELL_SECONDS
