"""The ``Device`` over the browser's own WebGPU, for Pyodide.

``replay.js`` holds the WebGPU objects and does the work. Where a browser is slow to notice that the
GPU is done, ``nudge.js`` helps.
"""

from __future__ import annotations

from webllm_py.fetch.browser import load_script
from webllm_py.gpu.browser.device import BrowserDevice
from webllm_py.gpu.browser.errors import named_errors
from webllm_py.gpu.device import Device

__all__ = ["BrowserDevice", "open_browser"]

PARTS = ("host_clock", "nudge", "readbacks", "shaders")
"""The scripts whose classes ``replay.js`` takes, in this order."""


async def open_browser(
    *, f16: bool = True, subgroups: bool = True, power_preference: str = "high-performance"
) -> Device:
    """Open the browser's GPU. Arguments and errors are those of ``gpu.open_device``."""
    with named_errors():
        replay = load_script("gpu/browser/replay.js")
        bridge = replay(*(load_script(f"gpu/browser/{part}.js") for part in PARTS))
        return BrowserDevice(await bridge.open(power_preference), f16=f16, subgroups=subgroups)
