"""The GPU seam: a ``Device`` protocol, the browser and wgpu-py behind it, and the kernels."""

from __future__ import annotations

import sys

from webllm_py.gpu.device import Device
from webllm_py.optional import optional_module

__all__ = ["Device", "open_device"]


async def open_device(
    *, power_preference: str = "high-performance", f16: bool = True, subgroups: bool = True
) -> Device:
    """Open the GPU: the browser's own under Pyodide, wgpu-py's elsewhere.

    Args:
        power_preference: "high-performance" or "low-power", where a machine has two GPUs.
        f16, subgroups: use these features where the adapter has them.

    Raises:
        NoAdapterError: there is no GPU to be had; says what to do.
        MissingPackageError: wgpu-py is not installed.
    """
    if sys.platform == "emscripten":
        from webllm_py.gpu.browser import open_browser as open_it
    else:
        optional_module("wgpu", "Running models outside of a browser", "wgpu")
        from webllm_py.gpu.native import open_native as open_it
    return await open_it(power_preference=power_preference, f16=f16, subgroups=subgroups)
