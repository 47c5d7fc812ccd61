"""How chunks of a prompt are multiplied: tried on one of the model's own matrices.

Activations of 8 bits and dot products of 4 bytes are faster than float32 on most GPUs, and slower
where they are only imitated; so are subgroup matrices of float16, where a browser offers them. Both
round, and so are taken only where they clearly pay, and where the results are those of the plain
kernels but for that, for weights of each format. What was decided is kept for the next load.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain

from webllm_py.errors import ShaderError
from webllm_py.gpu.device import PACKED_DOTS, SUBGROUP_MATRICES, Device, Dispatch, Plan
from webllm_py.models.activations import padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.linear import DOT4_FORMATS, Gemm
from webllm_py.models.step import consecutive
from webllm_py.models.weights import Slice
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.choices import Choices, keep_choices
from webllm_py.runtime.tuning.comparison import (
    MOST_DEVIATION,
    deviation,
    results,
    run_once,
    sampled_rows,
)
from webllm_py.runtime.tuning.other_formats import FormatCheck, other_formats
from webllm_py.runtime.tuning.problems import clear_pages
from webllm_py.runtime.tuning.sample import sample_of
from webllm_py.runtime.tuning.stopwatch import EXACT, Stopwatch

__all__ = ["GemmTrial"]

ROWS = 512
# What is kept of a decision is a place in this list, and those of formats in DOT4_FORMATS that are
# multiplied as they were.
GEMMS: tuple[Gemm, ...] = ("plain", "dot4", "matrices")
WAYS: tuple[Gemm, Gemm] = ("plain", "dot4")
# Less of another way's time than this is worth rounding for.
WORTHWHILE = 0.85
# Of a round, which a wait or a coarse clock must not decide.
ROUND_SECONDS, COARSE_ROUND_SECONDS = 0.004, 0.03
ROUNDS, MOST_PASSES = 3, 16
SLOW_SECONDS = 0.05  # of a pass: one round is clear enough, and takes long enough


class GemmTrial:
    """Compares them on one matrix: ``compile`` while weights load, ``run`` afterwards.

    Args:
        executor: not prepared yet.
        keep: whether to keep what is decided for the next load.
    """

    def __init__(self, executor: Executor, *, keep: bool = True):
        self.executor = executor
        self.keep = keep
        self.decided = False
        self.rows = min(ROWS, executor.chunk)
        self.sample = sample_of(executor.model)
        self.others = self._possible()

    def _possible(self) -> list[Gemm]:
        """What the device knows besides the plain kernels and the weights go with, the likelier one
        first; none where somebody asked for float32. A mixture's prompts are not in 8 bits: what
        that rounds sends tokens to other experts, and adds up over all of a prompt's."""
        executor = self.executor
        config = executor.model.config
        if executor.kv_format == "f32" or self.rows <= executor.tuning.few_rows:
            return []
        slices = self.sample.slices(executor.weights)
        possible: list[Gemm] = []
        known = all(part.format in DOT4_FORMATS for part in slices)
        normed_alone = config.norm == "rms" and not config.parallel
        fits = known and normed_alone and whole_blocks(config) and not config.n_experts
        if fits and offers_dot4(executor.device):
            possible.append("dot4")
        if offers_matrices(executor.device) and self.rows % 64 == 0:
            possible.append("matrices")
        return possible

    @property
    def problem(self) -> str:
        """What the answer depends on besides the adapter, such as
        "gemm q4_k 512x9728x896 dot4 q4_k+q6_k"."""
        weights, matrices = self.executor.weights, self.sample.matrices
        size = f"{self.rows}x{sum(matrix.rows for matrix in matrices)}x{matrices[0].columns}"
        others = formats_of(chain.from_iterable(parts for _, parts in weights.matrices.values()))
        tried = f"{formats_of(self.sample.slices(weights))} {size} {'+'.join(self.others)}"
        return f"gemm {tried} {others}"

    def recall(self, kept: Choices) -> None:
        """Decide as an earlier load did, if it did: before the executor is prepared."""
        if not self.others:
            return
        number, *exact = kept.get(self.problem) or (-1,)
        if number in map(GEMMS.index, ("plain", *self.others)):
            formats = [format for i, format in enumerate(DOT4_FORMATS) if i in exact]
            self.decide(GEMMS[number], formats)

    async def compile(self) -> None:
        """Compile what the trial needs."""
        if self.decided or not self.others:
            return
        wanted = [d for gemm in ("plain", *self.others) for d in self.layer(gemm)]
        for check in filter(None, self.checks.values()):
            wanted += [each for gemm in WAYS for each in check.dispatches(gemm)]
        with suppress(ShaderError):  # ``run`` will meet it
            await self.executor.device.compile(dispatch.kernel for dispatch in wanted)

    @cached_property
    def prompt(self) -> Graph:
        """A prompt of the trial's length, multiplied in the likelier way."""
        graph = self.executor.graph(self.rows, gemm=self.others[0])
        self.executor.model.forward(graph)
        return graph

    @cached_property
    def checks(self) -> Mapping[str, FormatCheck | None]:
        """What is tried besides before prompts are in 8 bits."""
        return other_formats(self.prompt, self.executor, self.sample)

    async def run(self) -> None:
        """Try them, and have the executor take the best one."""
        if self.decided or not self.others:
            return
        device = self.executor.device
        plans: dict[Gemm, Plan] = {"plain": await device.record("trial", self.layer("plain"))}
        try:
            await self.embed()
            plain = await self.results(plans["plain"])
            for gemm in self.others:
                if plan := await self.right(gemm, plain):
                    plans[gemm] = plan
            best = worthwhile(await self.times(plans)) if len(plans) > 1 else 0
            gemm = [*plans][best]
            exact = await self.wrong() if gemm == "dot4" else []
            self.decide(gemm, exact)
            if self.keep:
                choice = (GEMMS.index(gemm), *map(DOT4_FORMATS.index, exact))
                await keep_choices(device, {self.problem: choice})
        finally:
            for plan in plans.values():
                device.drop(plan)
            if self.sample.to_pages:
                clear_pages(self.executor)

    async def right(self, gemm: Gemm, plain: array[float]) -> Plan | None:
        """The matrix multiplied this way; None where it does not compile, or is not right."""
        device = self.executor.device
        try:
            plan = await device.record("trial", self.layer(gemm))
        except ShaderError:
            return None
        if deviation(plain, await self.results(plan)) < MOST_DEVIATION[gemm]:
            return plan
        device.drop(plan)
        return None

    async def wrong(self) -> list[str]:
        """The other formats whose matrices are not right in 8 bits, or cannot be tried."""
        found = []
        for format, check in self.checks.items():
            off = math.inf
            if check:
                with suppress(ShaderError):
                    off = deviation(*[await check.results(gemm) for gemm in WAYS])
            if off >= MOST_DEVIATION["dot4"]:
                found.append(format)
        return found

    def decide(self, gemm: Gemm, exact: Collection[str] = ()) -> None:
        """Have the executor multiply this way from now on, but for weights of formats in
        ``exact``."""
        executor = self.executor
        executor.gemm, self.decided = gemm, True
        if gemm != "plain":
            tuning = executor.tuning
            few = tuning.dot4_rows if gemm == "dot4" else tuning.matrices_rows
            few = min(few, tuning.few_rows)
            executor.tuning = replace(tuning, few_rows=few, exact_formats=exact)
            executor.plans.drop(executor)

    def layer(self, gemm: Gemm) -> Sequence[Dispatch]:
        """The matrix times the normed hidden rows, one way or another."""
        return self.sample.dispatches(self.executor.graph(self.rows, gemm=gemm))

    async def times(self, plans: Mapping[Gemm, Plan]) -> list[list[float]]:
        """Seconds of several passes of each, measured in turns."""
        device = self.executor.device
        stopwatch = Stopwatch(device)
        once, *_ = await stopwatch.set([*plans.values()], [1] * len(plans))
        wanted = ROUND_SECONDS if stopwatch.tick == EXACT else COARSE_ROUND_SECONDS
        passes = max(1, min(MOST_PASSES, round(wanted / max(once, 1e-6))))
        longer = [await device.record("trial", [*self.layer(gemm)] * passes) for gemm in plans]
        try:
            rounds = 1 if once > SLOW_SECONDS else ROUNDS
            return [await stopwatch.seconds(longer) for _ in range(rounds)]
        finally:
            for plan in longer:
                device.drop(plan)

    async def embed(self) -> None:
        """Fill the hidden rows: they are the first tokens of the vocabulary."""
        executor = self.executor
        vocabulary = executor.model.config.vocab_size
        executor.write_rows(consecutive([i % vocabulary for i in range(self.rows)], 0))
        graph = executor.graph(self.rows)
        graph.embed("token_embd")
        await run_once(executor.device, "trial's tokens", graph.dispatches)

    async def results(self, plan: Plan) -> array[float]:
        """Some of the rows that a plan computes."""
        target = self.sample.buffer(self.executor.buffers)
        places = sampled_rows(self.rows, 4 * self.sample.width)
        return await results(self.executor.device, plan, target, places)


def formats_of(slices: Iterable[Slice]) -> str:
    """Their formats, each once."""
    return "+".join(sorted({part.format for part in slices}))


def offers_dot4(device: Device) -> bool:
    """Whether a device has dot products of 4 bytes, and is no CPU that plays a GPU: there a trial
    takes a second, and what it measures depends on what else runs."""
    return PACKED_DOTS in device.info.features and not device.info.is_cpu


def offers_matrices(device: Device) -> bool:
    """Whether a device may have the matrices that gemm_matrices.wgsl takes: it compiles, or not."""
    variant = device.variant
    return SUBGROUP_MATRICES in device.info.features and variant.f16 and variant.subgroups == 32


def whole_blocks(config: ModelConfig) -> bool:
    """Whether no row of activations is padded: quantized rows borrow their buffers, and would leave
    something else than zeros there."""
    inner = (config.intermediate_size, config.expert_size, config.beside_size)
    rows = (config.hidden_size, config.n_heads * config.head_dim, *inner)
    return all(padded(row) == row for row in rows)


def worthwhile(times: Sequence[Sequence[float]]) -> int:
    """Which column of the rounds to take: one only if it is clearly faster than what would be taken
    without it. A round that took long for another reason says nothing."""
    best = [min(column) for column in zip(*times, strict=True)]
    taken = 0
    for column in range(1, len(best)):
        if best[column] < WORTHWHILE * best[taken]:
            taken = column
    return taken
