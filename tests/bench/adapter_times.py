"""How fast a random model decodes with a LoRA adapter on all its matrices, beside without one.

    python tests/bench/adapter_times.py                            # 0.5B, rank 16
    python tests/bench/adapter_times.py --shape llama-3.2-1b --rank 64 --ahead 0 40 --profile

``--ahead`` are values of ``Tuning.ahead_bytes`` in MiB, each measured in turn with the plain model;
``--profile`` adds the times of every kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import webllm_py  # noqa: E402
from webllm_py.bench.bandwidth import measure_bandwidth  # noqa: E402
from webllm_py.bench.options import BenchOptions  # noqa: E402
from webllm_py.bench.profile import can_profile, profile_decode  # noqa: E402
from webllm_py.bench.profile_table import profile_lines  # noqa: E402
from webllm_py.bench.requests import Requests  # noqa: E402
from webllm_py.random_models.gguf import write_random_model  # noqa: E402
from webllm_py.random_models.shapes import SHAPES, Shape  # noqa: E402

NAME = "measured"
CONTEXT = 128
GREEDY: dict[str, Any] = {"temperature": 0, "prompt_lookup": False}


def matrices_of(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Rows and columns of what a LLaMA's layer multiplies with, as Hugging Face names it."""
    width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "self_attn.q_proj", width, shape.hidden
    yield "self_attn.k_proj", kv_width, shape.hidden
    yield "self_attn.v_proj", kv_width, shape.hidden
    yield "self_attn.o_proj", shape.hidden, width
    yield "mlp.gate_proj", shape.ffn, shape.hidden
    yield "mlp.up_proj", shape.ffn, shape.hidden
    yield "mlp.down_proj", shape.hidden, shape.ffn


def write_adapter(folder: Path, shape: Shape, rank: int) -> Path:
    """PEFT's folder of small random numbers for all matrices."""
    rng, header, data, at = np.random.default_rng(1), dict[str, Any](), list[bytes](), 0
    for layer in range(shape.layers):
        for module, rows, columns in matrices_of(shape):
            for half, size in (("A", (rank, columns)), ("B", (rows, rank))):
                values = rng.standard_normal(size, np.float32) * np.float32(0.02)
                name = f"base_model.model.model.layers.{layer}.{module}.lora_{half}.weight"
                header[name] = {
                    "dtype": "F32",
                    "shape": size,
                    "data_offsets": (at, at + values.nbytes),
                }
                data.append(values.tobytes())
                at += values.nbytes
    text = json.dumps(header).encode()
    folder.mkdir(exist_ok=True)
    file = folder / "adapter_model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))
    modules = [module.rpartition(".")[2] for module, _, _ in matrices_of(shape)]
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": modules}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


class Measured(Requests):
    """An engine with the adapter."""

    async def compared(self) -> None:
        """Rates with and without, in turn, and the dispatches of a step."""
        rates: dict[str, list[float]] = {"plain": [], "adapter": []}
        for run in range(self.options.runs + 1):
            for kind, found in rates.items():
                fields = GREEDY | ({"adapters": [NAME]} if kind == "adapter" else {})
                rate = await self.rate(self.prompt(CONTEXT), fields)
                found += [rate] if run else []
        plain, adapted = (median(found) for found in rates.values())
        print(f"  {plain:,.1f} and {adapted:,.1f} tokens/s: {adapted / plain:.3f}")

    def counted(self) -> None:
        """The dispatches of a step of few keys."""
        for adapted in (False, True):
            fused = self.executor.fused_keys > 0
            made = self.executor.forward(1, adapted=adapted, fused=fused)
            kernels = ", ".join(
                f"{count} {name}"
                for name, count in Counter(one.kernel.name for one in made).most_common()
            )
            print(f"  {'adapter' if adapted else 'plain'}: {len(made)} dispatches ({kernels})")

    async def profile(self) -> None:
        """Every kernel, with and without."""
        executor = self.executor
        if not can_profile(executor.device):
            return
        bandwidth = (await measure_bandwidth(executor.device))["bytes_per_s"]
        for adapted in (False, True):
            fields = GREEDY | ({"adapters": [NAME]} if adapted else {})
            await self.rate(self.prompt(CONTEXT), fields)
            executor.decoder.adapted = adapted
            prompt = self.prompt(CONTEXT)
            found = await profile_decode(executor, prompt, 256, self.repeated, bandwidth)
            executor.decoder.adapted = False
            print("\n".join(("", "adapter:" if adapted else "plain:", *profile_lines(found))))


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    shape = SHAPES[arguments.shape]
    file = folder / f"{arguments.shape}.gguf"
    write_random_model(file, arguments.shape, shape, "q4_0")
    adapter = write_adapter(folder / NAME, shape, arguments.rank)
    options = BenchOptions(tokens=arguments.tokens, runs=arguments.runs)
    async with await webllm_py.load(file, context_length=1024, tune=arguments.tune) as engine:
        await engine.load_adapter(adapter, name=NAME)
        measured, tuning = Measured(engine, options), engine.loaded.executor.tuning
        print(f"{arguments.shape}, rank {arguments.rank}, {engine.info['adapter']}")
        for mebibytes in arguments.ahead or [tuning.ahead_bytes >> 20]:
            print(f"ahead_bytes {mebibytes} MiB", flush=True)
            wanted = replace(tuning, ahead_bytes=mebibytes << 20)
            await engine.loaded.executor.retune(wanted)
            measured.counted()
            await measured.compared()
        if arguments.profile:
            await measured.profile()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ahead", type=int, nargs="+", metavar="MIB")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--no-tune", dest="tune", action="store_false")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
