"""Train the pocket model within a time budget: ``python -m demo.pocket.train --out DIR``.

Run from the root of the repository, with PyTorch and NumPy. Processes beside the trainer make the
corpus as it goes, so rows are hardly ever seen twice; the learning rate follows the clock and
reaches zero when the budget ends, whatever the machine's speed. ``DIR/pocket.gguf`` is written
every minute and at the end, then the exported file is read back and judged.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from demo.pocket import gguf_file, report
from demo.pocket.data import LEARNED, START, TOKEN, RowMaker
from demo.pocket.metadata import Config
from demo.pocket.model import Mask, Pocket, dense_mask

SEED = 1
WEIGHT_DECAY = 0.1
BETAS = (0.9, 0.95)
CLIP = 1.0
REPORT_SECONDS = 40  # kept of the budget for the last export and the report
SAVE_EVERY = 60
LOG_STEPS = 50
SHARD_ROWS = 512
IGNORED = -100  # what cross_entropy leaves out


@dataclass(frozen=True)
class Batch:
    """Rows on the device: ids, which of them are to be predicted, and the document of each."""

    tokens: Tensor
    learned: Tensor
    documents: Tensor


class Pool:
    """All rows made so far, on the device; each is used once while the makers keep up."""

    def __init__(self, maker: RowMaker, capacity: int, length: int, device: torch.device):
        self._maker = maker
        self._rows = torch.empty((capacity, length), dtype=torch.int16, device=device)
        self.device = device
        self.made = 0
        self._next = 0
        self.repeats = 0

    def fill(self, *, wait: bool = False) -> None:
        """Take in what is ready, up to half a pool unused; with ``wait`` at least one shard."""
        while self.made - self._next < len(self._rows) // 2:
            shard = self._maker.take(wait=wait)
            if shard is None:
                return
            rows = torch.from_numpy(shard.view("int16")).to(self.device)
            at = self.made % len(self._rows)
            fit = min(len(rows), len(self._rows) - at)
            self._rows[at : at + fit] = rows[:fit]
            self.made += fit
            wait = False

    def batch(self, size: int) -> Batch:
        """Fresh rows, or random old ones where the makers are behind."""
        available = min(self.made, len(self._rows))
        if self._next + size <= self.made:
            index = torch.arange(self._next, self._next + size, device=self.device)
            index %= len(self._rows)
            self._next += size
        else:
            index = torch.randint(available, (size,), device=self.device)
            self.repeats += size
        rows = self._rows[index].int() & 0xFFFF
        starts = (rows & START) != 0
        learned = ((rows & LEARNED) != 0) & ~starts
        return Batch(rows & TOKEN, learned, starts.cumsum(1, dtype=torch.int32))


class BlockMasks:
    """Block masks for flex attention; their function is one object, so that it compiles once."""

    def __init__(self, size: int, length: int, device: torch.device):
        numbers = torch.zeros((size, length), dtype=torch.int32, device=device)

        def same_document(batch: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (query >= key) & (numbers[batch, query] == numbers[batch, key])

        self._numbers, self._function = numbers, same_document
        self._create = torch.compile(create_block_mask)

    def __call__(self, documents: Tensor) -> BlockMask:
        """The mask of rows whose documents are numbered so."""
        size, length = documents.shape
        self._numbers.copy_(documents)
        device = str(documents.device)
        return self._create(self._function, size, None, length, length, device=device)


class Trainer:
    """The model, its optimizer, and one step."""

    def __init__(self, config: Config, options: argparse.Namespace, device: torch.device):
        torch.manual_seed(SEED)
        self.model = Pocket(config).to(device)
        matrices = [p for p in self.model.parameters() if p.ndim == 2]
        vectors = [p for p in self.model.parameters() if p.ndim == 1]
        self._optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors,
                                                                  "weight_decay": 0.0}],
            lr=options.lr,
            betas=BETAS,
            fused=device.type == "cuda",
        )  # fmt: skip
        self._peak = options.lr
        self._device = device
        self._block_masks = BlockMasks(options.rows, options.length, device)
        self._mask: Callable[[Tensor], Mask] = dense_mask

    def prepare(self, batch: Batch) -> str:
        """Find the fastest way to run a step that works on this machine; returns its name.

        Nothing is learned by the trial: the rate is zero.
        """
        if self._device.type != "cuda":
            return "dense masks, not compiled"
        for name, mask in (("flex attention", self._block_masks), ("dense masks", dense_mask)):
            self._mask = mask
            for block in self.model.blk:
                block.compile()
            try:
                self.step(batch, rate=0.0)
                torch.cuda.synchronize()
                return f"{name}, compiled"
            except Exception:  # whatever the compiler did not like, another way is tried
                traceback.print_exc()
                torch._dynamo.reset()
                self._optimizer.zero_grad(set_to_none=True)
        for block in self.model.blk:
            block._compiled_call_impl = None
        return "dense masks, not compiled"

    def step(self, batch: Batch, rate: float) -> Tensor:
        """One update at this share of the peak learning rate; returns the loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate * self._peak
        on_gpu = self._device.type == "cuda"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=on_gpu):
            hidden = self.model.hidden(batch.tokens, self._mask(batch.documents))
            logits = self.model.logits(hidden)
        # The token at i predicts the one at i + 1. Choosing the learned ones before the logits
        # would save little and make the CPU wait for the GPU.
        wanted = batch.tokens.masked_fill(~batch.learned, IGNORED).roll(-1, dims=1)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), wanted.flatten().long())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def rate_at(progress: float, step: int) -> float:
    """Share of the peak rate: warm-up by steps, then a straight line to zero at the end."""
    return min(1.0, (step + 1) / 200) * max(0.0, 1.0 - progress)


def train(options: argparse.Namespace, config: Config, began: float) -> Path:
    """The whole run; returns the file."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processes = options.processes or max(1, (os.cpu_count() or 2) - 2)
    maker = RowMaker(processes=processes, seed=SEED, length=options.length, rows_a_shard=SHARD_ROWS)
    out: Path = options.out / "pocket.gguf"
    try:
        if device.type == "cuda":
            say(began, f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
        trainer = Trainer(config, options, device)
        count = sum(p.numel() for p in trainer.model.parameters())
        say(began, f"{count:,} parameters, {processes} processes make rows")
        pool = Pool(maker, options.pool, options.length, device)
        pool.fill(wait=True)
        say(began, "prepared: " + trainer.prepare(pool.batch(options.rows)))
        _loop(options, config, trainer, pool, began, out)
    finally:
        maker.stop()
    gguf_file.save(out, trainer.model.state_dict(), config)
    say(began, f"saved {out}, {out.stat().st_size:,} bytes")
    return out


def _loop(
    options: argparse.Namespace,
    config: Config,
    trainer: Trainer,
    pool: Pool,
    began: float,
    out: Path,
) -> None:
    start = time.monotonic()
    end = began + options.minutes * 60 - REPORT_SECONDS
    last_save, last_log, step = start, start, 0
    losses: list[Tensor] = []
    while (now := time.monotonic()) < end and step != options.steps:
        progress = (now - start) / (end - start)
        if options.steps is not None:
            progress = max(progress, step / options.steps)
        pool.fill()
        losses.append(trainer.step(pool.batch(options.rows), rate_at(progress, step)))
        step += 1
        if (
            step % LOG_STEPS == 0
        ):  # reading the loss also keeps the clock true: it waits for the GPU
            loss = torch.stack(losses).mean().item()
            losses.clear()
            if not math.isfinite(loss):
                raise RuntimeError(f"the loss is {loss} at step {step}")
            now = time.monotonic()
            speed = LOG_STEPS * options.rows * options.length / (now - last_log) / 1e6
            last_log = now
            say(
                began,
                f"step {step:6d}  loss {loss:.4f}  {progress:6.1%}  {speed:.2f} M tokens/s  "
                f"made {pool.made:,} rows, repeated {pool.repeats:,}",
            )
            if now - last_save > SAVE_EVERY:
                gguf_file.save(out, trainer.model.state_dict(), config)
                say(began, "held-out: " + report.held_out_line(gguf_file.load(out, pool.device)))
                last_save = last_log = time.monotonic()
    say(began, f"{step} steps, {step * options.rows * options.length:,} tokens with padding")


def say(began: float, text: str) -> None:
    """A line of the log, with the seconds since the start."""
    print(f"[{time.monotonic() - began:6.1f}] {text}", flush=True)


def main() -> None:
    """Parse the options, train, judge."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for pocket.gguf")
    parser.add_argument("--minutes", type=float, default=8.0, help="budget for everything")
    parser.add_argument("--steps", type=int, help="stop after so many")
    parser.add_argument("--rows", type=int, default=32, help="rows a step")
    parser.add_argument("--length", type=int, default=2048, help="tokens a row")
    parser.add_argument("--pool", type=int, default=500_000, help="rows kept on the device")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--processes", type=int, default=0, help="that make rows (0: by the cores)")
    parser.add_argument("--samples", type=int, default=1500, help="documents judged in the report")
    parser.add_argument("--dim", type=int, default=Config.dim)
    parser.add_argument("--layers", type=int, default=Config.layers)
    parser.add_argument("--ffn", type=int, default=Config.ffn)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    config = Config(
        dim=options.dim, layers=options.layers, ffn=options.ffn,
        heads=options.dim // Config.head_dim, kv_heads=max(1, options.dim // Config.head_dim // 2),
    )  # fmt: skip
    torch.set_float32_matmul_precision("high")
    out = train(options, config, began)
    report.full(
        gguf_file.load(out, "cuda" if torch.cuda.is_available() else "cpu"), options.samples
    )
    say(began, "done")


if __name__ == "__main__":
    main()
