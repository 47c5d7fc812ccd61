"""Runs one kernel on a device: natively in each variant, and in Chromium through replay.js.

The tests speak numpy; a runner moves the arrays to the device and back.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Collection, Container, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from webllm_py.gpu.device import Device, Dispatch
from webllm_py.gpu.kernels import Kernel, Variant, compose

ROOT = Path(__file__).resolve().parents[2]
Arrays = Mapping[str, np.ndarray]
# What a GEMV takes its row from, and that there are no adapters.
ROW = {"source": "source/row", "low": "lora/not_parts", "ahead": "lora/not_ahead"}


class Runner(Protocol):
    """A device that runs single kernels."""

    variant: Variant

    async def run(
        self, kernel: Kernel, arrays: Arrays, groups: tuple[int, ...]
    ) -> dict[str, np.ndarray]:
        """Run with these arrays bound; what each writable one holds afterwards, same dtype."""


def of_native(cases: Collection[Any], in_chromium: Container[Any]) -> list[Any]:
    """Parameters, with the mark ``native`` where Chromium is not asked for them.

    SwiftShader compiles a kernel for seconds. Chromium has each kernel, format and way through it;
    all sizes of all of them are for the native devices.
    """
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [
        pytest.param(*value, marks=() if case in in_chromium else pytest.mark.native)
        for case, value in zip(cases, values, strict=True)
    ]


def three(groups: tuple[int, ...]) -> tuple[int, int, int]:
    x, y, z = (*groups, 1, 1)[:3]
    return x, y, z


class DeviceRunner:
    """Any ``Device`` of the package."""

    def __init__(self, device: Device):
        self.device = device
        self.variant = device.variant

    async def run(
        self, kernel: Kernel, arrays: Arrays, groups: tuple[int, ...]
    ) -> dict[str, np.ndarray]:
        device = self.device
        buffers = {}
        for name, array in arrays.items():
            buffers[name] = device.create_buffer(name, array.nbytes)
            device.write(buffers[name], 0, np.ascontiguousarray(array).data)
        plan = await device.record(kernel.name, [Dispatch(kernel, buffers, three(groups))])
        device.replay(plan)
        results = {}
        for binding in compose(kernel, self.variant).bindings:
            if binding.writable:
                array = arrays[binding.name]
                size = -(-array.nbytes // 4) * 4
                data = await device.read(buffers[binding.name], 0, size)
                results[binding.name] = np.frombuffer(data, array.dtype, array.size).reshape(
                    array.shape
                )
        await device.check()
        device.drop(plan)
        for buffer in buffers.values():
            device.free(buffer)
        return results


class ChromiumRunner:
    """Chromium's own WebGPU (Tint), through the package's replay.js, without Pyodide."""

    def __init__(self, driver: Any):
        self.driver = driver
        sources = [(ROOT / "webllm_py/gpu/browser" / name).read_text("utf-8") for name in SCRIPTS]
        about = driver.execute_async_script(OPEN, *sources)
        if isinstance(about, str):
            raise RuntimeError(about)
        self.variant = Variant(
            f16="shader-f16" in about["features"],
            subgroups=int(about["subgroupMinSize"]) if "subgroups" in about["features"] else 0,
        )

    async def run(
        self, kernel: Kernel, arrays: Arrays, groups: tuple[int, ...]
    ) -> dict[str, np.ndarray]:
        shader = compose(kernel, self.variant)
        shader.check_buffers(kernel.name, arrays)
        job = {
            "label": kernel.name,
            "text": shader.text,
            "access": " ".join(f"{b.index}{'w' if b.writable else 'r'}" for b in shader.bindings),
            "constants": shader.overrides,
            "groups": three(groups),
            "buffers": [
                {
                    "index": b.index,
                    "name": b.name,
                    "writable": b.writable,
                    "data": base64.b64encode(np.ascontiguousarray(arrays[b.name])).decode(),
                }
                for b in shader.bindings
            ],
        }
        answer = self.driver.execute_async_script(RUN, json.dumps(job))
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return {
            name: np.frombuffer(
                base64.b64decode(data), arrays[name].dtype, arrays[name].size
            ).reshape(arrays[name].shape)
            for name, data in answer.items()
        }


SCRIPTS = ("replay.js", "host_clock.js", "nudge.js", "readbacks.js", "shaders.js")

OPEN = """
const [replay, ...parts] = [...arguments].slice(0, -1), done = arguments[arguments.length - 1];
const value = (text) => (0, eval)(text);
value(replay)(...parts.map(value)).open("high-performance").then((gpu) => {
  globalThis.gpu = gpu;
  globalThis.compiled = new Map();
  done(gpu.describe());
}, (error) => done(`${error.name}: ${error.message}`));
"""

RUN = """
const [text, done] = arguments;
const job = JSON.parse(text);
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const base64 = (array) => { let s = ""; for (let i = 0; i < array.length; i += 32768)
  s += String.fromCharCode(...array.subarray(i, i + 32768)); return btoa(s); };
(async () => {
  const names = Object.keys(job.constants), values = Object.values(job.constants);
  const key = JSON.stringify([job.text, names, values]);
  if (!compiled.has(key))
    compiled.set(key, await gpu.compile(job.label, job.text, job.access, names, values));
  const pipeline = compiled.get(key);
  const words = [pipeline, ...job.groups, job.buffers.length];
  for (const b of job.buffers) {
    b.bytes = bytes(b.data);
    b.size = Math.max(16, Math.ceil(b.bytes.length / 16) * 16);
    b.id = gpu.createBuffer(b.name, b.size);
    gpu.write(b.id, 0, b.bytes);
    words.push(b.index, b.id);
  }
  const plan = gpu.record({ getBuffer: () => ({ data: Int32Array.from(words), release() {} }) });
  gpu.replay(plan, 1);
  await gpu.check();
  const answer = {};
  for (const b of job.buffers)
    if (b.writable) answer[b.name] = base64(await gpu.read(b.id, 0, b.size));
  gpu.dropPlan(plan);
  for (const b of job.buffers) gpu.destroyBuffer(b.id);
  await gpu.check();
  return answer;
})().then(done, (error) => done(`${error.name}: ${error.message}`));
"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves an empty page: WebGPU wants a secure context, and localhost is one."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>kernels</title>")

    def log_message(self, *args: object) -> None:
        pass


def serve_blank_page() -> ThreadingHTTPServer:
    """A running server on a free port of localhost."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory="."))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
