"""A device as plain values, for ``engine.info``."""

from __future__ import annotations

from typing import Any

from webllm_py.gpu.device import Device

__all__ = ["describe_device"]


def describe_device(device: Device) -> dict[str, Any]:
    """Which GPU answers, through what, and what the kernels use of it."""
    variant = device.variant
    return {
        "adapter": device.info.name,
        "vendor": device.info.vendor,
        "backend": device.info.backend,
        "features": sorted(device.info.features),
        "nudged": device.info.nudged,
        "kernels": f"{'f16' if variant.f16 else 'f32'}, "
        + (f"subgroups of {variant.subgroups} or more" if variant.subgroups else "no subgroups"),
    }
