"""Whether chunks of a prompt are multiplied in 8 bits: tried on the model's own first layer.

Activations of 8 bits and dot products of 4 bytes are faster than float32 on most GPUs, and slower
where they are only imitated. They round, and so are taken only where they clearly pay, and where
the results are those of the plain kernels but for that. What was decided is kept for the next load.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import replace

from webllm_py.errors import ShaderError
from webllm_py.gpu.device import PACKED_DOTS, Device, Dispatch, Plan
from webllm_py.models.activations import padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.linear import DOT4_FORMATS
from webllm_py.runtime.choices import Choices, keep_choices
from webllm_py.runtime.executor import Executor, consecutive
from webllm_py.runtime.stopwatch import EXACT, Stopwatch

__all__ = ["Dot4Trial"]

MATRIX = "blk.0.gate_up"
ROWS = 512
# The part of the plain results' root mean square that the others may be off by; rounding is 0.01
# to 0.02 of it.
MOST_DEVIATION = 0.05
# Less of the plain kernels' time than this is worth rounding for.
WORTHWHILE = 0.85
# Of a round, which a wait or a coarse clock must not decide.
ROUND_SECONDS, COARSE_ROUND_SECONDS = 0.004, 0.03
ROUNDS, MOST_PASSES = 3, 16
SLOW_SECONDS = 0.05  # of a pass: one round is clear enough, and takes long enough


class Dot4Trial:
    """Compares the two on one matrix: ``compile`` while weights load, ``run`` afterwards.

    Args:
        executor: not prepared yet.
        keep: whether to keep what is decided for the next load.
    """

    def __init__(self, executor: Executor, *, keep: bool = True):
        self.executor = executor
        self.keep = keep
        self.decided = False
        self.rows = min(ROWS, executor.chunk)
        self._usual = executor.usual_prompts
        if self.possible:
            # The kernels of long ones are known after the trial.
            few = executor.tuning.few_rows
            executor.usual_prompts = tuple(n for n in self._usual if n <= few)

    @property
    def possible(self) -> bool:
        """Whether the device knows such dot products, the weights go with them, and nobody asked
        for float32."""
        executor = self.executor
        _, slices = executor.weights.matrices.get(MATRIX, (None, ()))
        return (
            offered(executor.device)
            and executor.kv_format != "f32"
            and executor.model.config.norm == "rms"
            and not executor.model.config.parallel
            and whole_blocks(executor.model.config)
            and self.rows > executor.tuning.few_rows
            and bool(slices)
            and all(part.format in DOT4_FORMATS for part in slices)
        )

    @property
    def problem(self) -> str:
        """What the answer depends on besides the adapter: "dot4 q4_0 512x9728x896"."""
        matrix, slices = self.executor.weights.matrices[MATRIX]
        formats = "+".join(sorted({part.format for part in slices}))
        return f"dot4 {formats} {self.rows}x{matrix.rows}x{matrix.columns}"

    def recall(self, kept: Choices) -> None:
        """Decide as an earlier load did, if it did: before the executor is prepared."""
        if self.possible and (answer := kept.get(self.problem)) in ((0,), (1,)):
            self.decide(answer == (1,))

    async def compile(self) -> None:
        """Compile what the trial and a prompt of its length need."""
        if self.decided or not self.possible:
            return
        executor = self.executor
        prompt = executor.forward(self.rows, head=False, dot4=True)
        wanted = [*self.layer(dot4=False), *prompt]
        try:
            await executor.device.compile(dispatch.kernel for dispatch in wanted)
        except ShaderError:
            return  # ``run`` will meet it

    async def run(self) -> None:
        """Try both, and have the executor take the better one."""
        if self.decided or not self.possible:
            return
        executor, device = self.executor, self.executor.device
        plans: list[Plan] = []
        try:
            for dot4 in (False, True):
                plans.append(await device.record("trial", self.layer(dot4=dot4)))
            await self.embed()
            plain, rounded = [await self.results(plan) for plan in plans]
            right = deviation(plain, rounded) < MOST_DEVIATION
            self.decide(right and pays(await self.times(plans)))
            if self.keep:
                await keep_choices(device, {self.problem: (int(executor.dot4),)})
        except ShaderError:
            self.decide(False)  # the plain kernels do without
        finally:
            for plan in plans:
                device.drop(plan)
        await executor.prepare_prompts()

    def decide(self, dot4: bool) -> None:
        """Have the executor multiply this way from now on."""
        executor = self.executor
        executor.usual_prompts = self._usual
        executor.dot4, self.decided = dot4, True
        if dot4:
            few = min(executor.tuning.few_rows, executor.tuning.dot4_rows)
            executor.tuning = replace(executor.tuning, few_rows=few)
            executor.drop_plans(executor)

    def layer(self, *, dot4: bool) -> Sequence[Dispatch]:
        """The matrix times the normed hidden rows, one way or the other."""
        graph = self.executor.graph(self.rows, dot4=dot4)
        graph.gated_linear(MATRIX)
        return graph.dispatches

    async def times(self, plans: Sequence[Plan]) -> list[list[float]]:
        """Seconds of several passes of both, measured in turns."""
        device = self.executor.device
        stopwatch = Stopwatch(device)
        once, _ = await stopwatch.set(plans, [1, 1])
        wanted = ROUND_SECONDS if stopwatch.tick == EXACT else COARSE_ROUND_SECONDS
        passes = max(1, min(MOST_PASSES, round(wanted / max(once, 1e-6))))
        longer = [
            await device.record("trial", [*self.layer(dot4=dot4)] * passes)
            for dot4 in (False, True)
        ]
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
        plan = await executor.device.record("trial's tokens", graph.dispatches)
        executor.device.replay(plan)
        executor.device.drop(plan)

    async def results(self, plan: Plan) -> array[float]:
        """Some of the rows that a plan computes: the first, the last, and one between."""
        device, buffers = self.executor.device, self.executor.buffers
        nbytes = 4 * padded(self.executor.model.config.intermediate_size)
        device.clear(buffers.gated)
        device.replay(plan)
        found = array("f")
        for row in (0, self.rows // 2 + 5, self.rows - 1):
            found.frombytes(await device.read(buffers.gated, row * nbytes, nbytes))
        return found


def offered(device: Device) -> bool:
    """Whether a device has them, and is no CPU that plays a GPU: there a trial takes a second, and
    what it measures depends on what else runs."""
    return PACKED_DOTS in device.info.features and not device.info.is_cpu


def whole_blocks(config: ModelConfig) -> bool:
    """Whether no row of activations is padded: quantized rows borrow their buffers, and would leave
    something else than zeros there."""
    rows = (config.hidden_size, config.n_heads * config.head_dim, config.intermediate_size)
    return all(padded(row) == row for row in rows)


def deviation(plain: Sequence[float], others: Sequence[float]) -> float:
    """The root mean square of the difference, as a part of that of the plain ones."""
    size = math.fsum(value * value for value in plain)
    off = math.fsum((a - b) ** 2 for a, b in zip(plain, others, strict=True))
    # Neither zeros nor what is no number can be told from anything.
    return math.sqrt(off / size) if 0 < size < math.inf and off < math.inf else math.inf


def pays(times: Sequence[Sequence[float]]) -> bool:
    """Whether the second of each round is clearly faster than the first; one that took long for
    another reason says nothing."""
    return min(rounded for _, rounded in times) < WORTHWHILE * min(plain for plain, _ in times)
