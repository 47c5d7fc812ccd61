"""What replay.js tells of an adapter and its device (``describe``), in this package's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.gpu.device import AdapterInfo, Limits
from webllm_py.gpu.kernels import Variant

__all__ = ["adapter_info", "device_limits", "kernel_variant"]


def adapter_info(about: Mapping[str, Any]) -> AdapterInfo:
    """Which GPU it is, and the features that the device was opened with."""
    return AdapterInfo(
        name=about["name"],
        vendor=" ".join(filter(None, (about["vendor"], about["architecture"]))),
        backend="browser WebGPU",
        features=frozenset(about["features"]),
        is_cpu=about["isFallback"],
        nudged=about["nudged"],
    )


def device_limits(limits: Mapping[str, Any]) -> Limits:
    """The limits that the device was opened with."""
    return Limits(
        max_buffer_size=int(limits["maxBufferSize"]),
        max_storage_buffer_binding_size=int(limits["maxStorageBufferBindingSize"]),
        max_storage_buffers_per_shader_stage=limits["maxStorageBuffersPerShaderStage"],
        max_compute_workgroup_storage_size=limits["maxComputeWorkgroupStorageSize"],
        max_compute_invocations_per_workgroup=limits["maxComputeInvocationsPerWorkgroup"],
        max_compute_workgroups_per_dimension=limits["maxComputeWorkgroupsPerDimension"],
    )


def kernel_variant(about: Mapping[str, Any], *, f16: bool, subgroups: bool) -> Variant:
    """The variant of the kernels to compile: what is asked for and the device has."""
    # Safari 26 reports no smallest size; 4 is the smallest that WGSL allows.
    smallest = int(about["subgroupMinSize"]) or 4
    return Variant(
        f16=f16 and "shader-f16" in about["features"],
        subgroups=smallest if subgroups and "subgroups" in about["features"] else 0,
        enable_subgroups=True,
    )
