"""Plans that are recorded once and replayed from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from webllm_py.gpu.device import Device, Dispatch, Plan
from webllm_py.gpu.kernels import Kernel

__all__ = ["ADAPTED", "PlanCache", "plan_name"]

ADAPTED = "adapted "
"""What the names of plans with adapters begin with."""


def plan_name(name: str, adapted: bool) -> str:
    """A plan's name, with adapters or without."""
    return ADAPTED + name if adapted else name


class PlanCache:
    """The recorded plans of a model, by whose they are, what they do, and their rows."""

    def __init__(self, device: Device):
        self._device = device
        self._plans: dict[tuple[object, str, int], Plan] = {}

    @property
    def recorded(self) -> Mapping[tuple[object, str, int], Plan]:
        """All of them, by owner, name and rows."""
        return MappingProxyType(self._plans)

    @property
    def kernels(self) -> set[Kernel]:
        """The kernels of all of them."""
        return {dispatch.kernel for plan in self._plans.values() for dispatch in plan.dispatches}

    async def get(
        self, owner: object, name: str, rows: int, make: Callable[[], Sequence[Dispatch]]
    ) -> Plan:
        """A plan, recorded at the first call and kept until it is dropped.

        Args:
            owner, name, rows: what it is kept by.
            make: its dispatches.
        """
        key = (owner, name, rows)
        if key not in self._plans:
            plan = await self._device.record(name, make())
            if key in self._plans:
                self._device.drop(plan)  # somebody else's was recorded meanwhile
            else:
                self._plans[key] = plan
        return self._plans[key]

    def drop(self, owner: object | None = None) -> None:
        """Forget the plans, all of them or one owner's."""
        for key in [key for key in self._plans if owner in (None, key[0])]:
            self._device.drop(self._plans.pop(key))

    def drop_adapted(self) -> None:
        """Forget the plans that adapters are part of."""
        for key in [key for key in self._plans if key[1].startswith(ADAPTED)]:
            self._device.drop(self._plans.pop(key))
