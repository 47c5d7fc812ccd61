"""The ``Device`` over wgpu-py, for CPython: the only folder that imports wgpu."""

from __future__ import annotations

from webllm_py.gpu.native.device import NativeDevice
from webllm_py.gpu.native.opening import open_native

__all__ = ["NativeDevice", "open_native"]
