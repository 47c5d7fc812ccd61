"""What wgpu-py tells of an adapter and its device, in this package's terms."""

from __future__ import annotations

from typing import Any

import wgpu

from webllm_py.gpu.device import PACKED_DOTS, AdapterInfo, Limits
from webllm_py.gpu.kernels import Variant

__all__ = ["adapter_info", "device_limits", "kernel_variant"]

# The subgroup sizes of NVIDIA, Apple and AMD by PCI vendor id: wgpu 29 reports only the 4 that
# WebGPU guarantees.
SUBGROUP_SIZES = {0x10DE: 32, 0x106B: 32, 0x1002: 32}


def adapter_info(adapter: Any, device: Any) -> AdapterInfo:
    """Which GPU it is, and the features that the device was opened with."""
    info = adapter.info
    features = frozenset(str(name) for name in device.features)
    return AdapterInfo(
        name=info.get("device") or info.get("description") or "unknown",
        vendor=str(info.get("vendor", "")),
        backend=f"wgpu-py {wgpu.__version__}, {info.get('backend_type', '')}",
        driver=str(info.get("description", "")),
        features=features | {PACKED_DOTS},  # naga emulates them where an adapter has none
        is_cpu=info.get("adapter_type") == "CPU",
    )


def device_limits(device: Any) -> Limits:
    """The limits that the device was opened with."""
    limits = device.limits
    return Limits(
        max_buffer_size=limits["max-buffer-size"],
        max_storage_buffer_binding_size=limits["max-storage-buffer-binding-size"],
        max_compute_workgroup_storage_size=limits["max-compute-workgroup-storage-size"],
        max_compute_invocations_per_workgroup=limits["max-compute-invocations-per-workgroup"],
        max_compute_workgroups_per_dimension=limits["max-compute-workgroups-per-dimension"],
    )


def kernel_variant(adapter: Any, device: Any, *, f16: bool, subgroups: bool) -> Variant:
    """The variant of the kernels to compile: what is asked for and the device has."""
    info, features = adapter.info, device.features
    reported = int(info.get("stackgroup_min_size") or info.get("subgroup_min_size") or 0)
    smallest = max(reported, SUBGROUP_SIZES.get(info.get("vendor_id", 0), 0))
    return Variant(
        f16=f16 and "shader-f16" in features,
        subgroups=smallest if subgroups and "subgroup" in features else 0,
        enable_subgroups=False,  # naga has subgroups without the directive, and refuses it
    )
