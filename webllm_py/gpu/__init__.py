"""The GPU seam: a ``Device`` protocol, the browser and wgpu-py behind it, and the kernels."""
