"""Asks wgpu-py for an adapter, and the adapter for a device."""

from __future__ import annotations

import os
import tempfile

import wgpu

from webllm_py.errors import DeviceError, NoAdapterError
from webllm_py.gpu.device import Device
from webllm_py.gpu.native.device import NativeDevice

__all__ = ["open_native"]

REQUESTED_FEATURES = ("shader-f16", "subgroup", "timestamp-query")
REQUESTED_LIMITS = (
    "max-buffer-size",
    "max-storage-buffer-binding-size",
    "max-compute-workgroup-storage-size",
    "max-compute-invocations-per-workgroup",
    "max-compute-workgroup-size-x",
    "max-compute-workgroups-per-dimension",
)


async def open_native(
    *, f16: bool = True, subgroups: bool = True, power_preference: str = "high-performance"
) -> Device:
    """Open the GPU through wgpu-py.

    Args:
        f16: use ``shader-f16`` where the adapter has it.
        subgroups: use subgroup operations where the adapter has them.
        power_preference: "high-performance" or "low-power".

    Raises:
        NoAdapterError: no Vulkan, Metal or D3D12 driver offers an adapter.
        DeviceError: the driver offers one, but gives no device.
    """
    # Some Vulkan loaders print warnings where this is not set, as in containers.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    try:
        adapter = await wgpu.gpu.request_adapter_async(power_preference=power_preference)
    except (RuntimeError, ValueError) as error:
        # ValueError: WGPUPY_WGPU_ADAPTER_NAME asks for an adapter that is not there.
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise NoAdapterError(
            f"wgpu found no GPU adapter{why}. Install a driver with Vulkan, Metal or D3D12 "
            "support; on Debian or Ubuntu without a GPU, `mesa-vulkan-drivers` gives a CPU adapter."
        ) from error
    try:
        device = await adapter.request_device_async(
            label="webllm_py",
            required_features=[name for name in REQUESTED_FEATURES if name in adapter.features],
            required_limits={name: adapter.limits[name] for name in REQUESTED_LIMITS},
        )
    except RuntimeError as error:
        raise DeviceError(
            f"the driver of {adapter.info['device']} gives no device: {error}"
        ) from error
    return NativeDevice(adapter, device, f16=f16, subgroups=subgroups)
