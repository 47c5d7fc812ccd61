"""Compiles kernels with wgpu-py, and binds buffers to them."""

from __future__ import annotations

from typing import Any

import wgpu

from webllm_py.errors import ShaderError
from webllm_py.gpu.device import Dispatch
from webllm_py.gpu.kernels import Kernel, Shader, Variant, compose

__all__ = ["Shaders"]


class Shaders:
    """The compute pipelines and bind groups of one wgpu device, in one variant.

    Kernels whose bindings agree share a bind group layout.
    """

    def __init__(self, device: Any, variant: Variant):
        self._device = device
        self._variant = variant
        self._layouts: dict[tuple[tuple[int, bool], ...], Any] = {}

    def compile(self, kernel: Kernel) -> Any:
        """A new compute pipeline. May be called from several threads.

        Raises:
            ShaderError: naga or the driver refuses the kernel.
        """
        shader = compose(kernel, self._variant)
        try:
            module = self._device.create_shader_module(label=kernel.name, code=shader.text)
            return self._device.create_compute_pipeline(
                label=kernel.name,
                layout=self._device.create_pipeline_layout(
                    bind_group_layouts=[self._layout(shader)]
                ),
                compute={"module": module, "entry_point": "main", "constants": shader.overrides},
            )
        except wgpu.GPUError as error:
            raise ShaderError(f"kernel {kernel.name} did not compile: {error}") from error

    def bind(self, dispatch: Dispatch) -> Any:
        """A bind group of the dispatch's buffers."""
        shader = compose(dispatch.kernel, self._variant)
        shader.check_buffers(dispatch.kernel.name, dispatch.buffers)
        entries = [
            {"binding": b.index, "resource": {"buffer": dispatch.buffers[b.name].handle}}
            for b in shader.bindings
        ]
        return self._device.create_bind_group(layout=self._layout(shader), entries=entries)

    def close(self) -> None:
        """Forget the layouts."""
        self._layouts.clear()

    def _layout(self, shader: Shader) -> Any:
        key = tuple((b.index, b.writable) for b in shader.bindings)
        if key not in self._layouts:
            entries = [
                {
                    "binding": index,
                    "visibility": wgpu.ShaderStage.COMPUTE,
                    "buffer": {"type": "storage" if writable else "read-only-storage"},
                }
                for index, writable in key
            ]
            self._layouts[key] = self._device.create_bind_group_layout(entries=entries)
        return self._layouts[key]
