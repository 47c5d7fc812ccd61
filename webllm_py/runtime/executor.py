"""A loaded model on its device: the buffers of its steps, and plans that are recorded once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from webllm_py.concurrency import run_all
from webllm_py.gpu.device import Device, Dispatch, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.attention import fused_keys
from webllm_py.models.graph import Graph
from webllm_py.models.kv_cache import KVFormat, longest_context
from webllm_py.models.linear import Gemm
from webllm_py.models.rope import Rotation, rope_table
from webllm_py.models.step import PAGE, SLOTS, Row, StepLayout
from webllm_py.models.transformer import Transformer
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.batch import Batch
from webllm_py.runtime.generation.in_flight import Pace
from webllm_py.runtime.kv.cache import CacheSpec
from webllm_py.runtime.kv.kinds import cache_of
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.plan_cache import PlanCache, plan_name
from webllm_py.runtime.work_buffers import work_buffers

if TYPE_CHECKING:
    from webllm_py.runtime.lora.adapters import Adapters
    from webllm_py.runtime.sampling.known_states import KnownStates
    from webllm_py.runtime.vision.images import ImageRows

__all__ = ["Executor"]

# Tokens of prompts whose kernels are compiled unasked: while loading, and behind the first answer.
SHORT_PROMPT, LONG_PROMPTS = 32, (128, 512)


class Executor:
    """Runs a model's steps. Knows tokens and positions, but nothing of text or requests.

    Args:
        context_length: the most positions that a sequence may have.
        rotations: RoPE's rotations of queries and keys, by ``LayerKind.rope``.
        sinks: how many first tokens stay when a sequence goes on past the context (attention
            sinks); None: sequences end there.

    Attributes:
        last_row: the row of a prompt's newest chunk that holds its last token.
        paces: of decode steps, by the number of answers in them.
        images: the rows of images, in a model that reads images.
    """

    def __init__(
        self,
        device: Device,
        owner: BufferOwner,
        model: Transformer,
        weights: Weights,
        *,
        context_length: int,
        rotations: Mapping[str, Rotation],
        tuning: Tuning,
        kv_format: KVFormat = "f16",
        sinks: int | None = None,
    ):
        config = model.config
        self.device, self.owner, self.model, self.weights = device, owner, model, weights
        self.tuning, self.kv_format = tuning, kv_format
        self.gemm: Gemm = "plain"  # how chunks are multiplied: runtime/tuning/gemm_trial.py
        self.adapters: Adapters | None = None  # made when the first one is loaded
        self.known_states: KnownStates | None = None  # made for the first answer under a grammar
        self.context_length = context_length
        self.chunk = min(
            self.bucket(max(tuning.chunk, model.together)), self.bucket(context_length)
        )
        layout = StepLayout(self.chunk, -(-context_length // PAGE))
        step = owner.create("step", layout.nbytes)
        self.layout = layout
        self.sliding = sinks is not None
        bindable = longest_context(config, device, kv_format) // PAGE
        self.cache = cache_of(
            CacheSpec(device, owner, config, kv_format, layout, step, bindable),
            sinks,
            rotations,
        )
        self._rope_tables = tables = {
            name: rope_table(rotation, context_length) for name, rotation in rotations.items()
        }
        self.buffers = work_buffers(
            owner, config, tuning, kv_format, self.chunk, step, tables, self.cache.buffers
        )
        self.decoder = Decoder(self, owner, logits=self.buffers.logits)
        self.fused_keys = fused_keys(config, tuning)
        self.paces: dict[int, Pace] = {}
        self.plans = PlanCache(device)
        self._behind: asyncio.Future[Any] | None = None
        self.last_row = 0
        self.images: ImageRows | None = None
        self.batch = Batch(self)

    @property
    def goes_back(self) -> bool:
        """Whether a sequence can be cut back to fewer tokens. Recurrent states cannot, nor can a
        sliding window, whose dropped tokens do not come back."""
        return not self.model.config.recurrent and not self.sliding

    def finish(self, sequence: CachedSequence, unused: int = 0) -> None:
        """A sequence is complete: prompts that begin alike may go on from it.

        Args:
            unused: how many tokens at its end, with the newest that has no keys and values, were
                drawn in vain.
        """
        pages = self.cache.pages
        if self.device.lost:
            pages.release(sequence)
            return
        if unused > 1 and self.goes_back:
            pages.truncate(sequence, len(sequence.tokens) + 1 - unused)
        pages.finish(sequence)

    async def prepare(self, asked: Callable[[], None] = lambda: None) -> None:
        """Make the first pages, compile the kernels and record the first plans.

        Args:
            asked: called once the kernels are being compiled.
        """
        for name, table in self._rope_tables.items():
            self.device.write(self.buffers.rope[name], 0, table)
        # The pages are waited for, and plans go on with larger ones: kernels compile meanwhile.
        await run_all(*self._usual_plans(), self.cache.prepare(), begun=asked)

    async def retune(self, tuning: Tuning) -> None:
        """Go on with kernels of other shapes. The sizes of buffers stay as they were."""
        self.tuning = tuning
        self.plans.drop()
        await run_all(*self._usual_plans())

    def _usual_plans(self) -> list[Coroutine[Any, Any, Plan]]:
        """Record the plans that a short question's first tokens need."""
        return [
            *(self.decoder.plan(name) for name in ("head", "first")),
            self.decoder.step(1, 1),
            self.forward_plan(min(SHORT_PROMPT, self.chunk)),
        ]

    def prepare_behind(self) -> None:
        """Compile the kernels and record the plans of steps that attend to many keys, and of long
        prompts, while answers are under way. What fails is tried again by the first request that
        needs it, which is told."""
        rows = {min(n, self.chunk) for n in LONG_PROMPTS}
        self._behind = asyncio.gather(
            self.decoder.step(1, self.context_length),
            *map(self.forward_plan, rows),
            return_exceptions=True,
        )

    async def close(self) -> None:
        """End the answers under way, and forget the plans."""
        await self.batch.close()
        behind = self._behind
        if behind and not (behind.done() or behind.get_loop().is_closed()):
            behind.cancel()
            await asyncio.gather(behind, return_exceptions=True)
        self.decoder.forget_verifier()
        self.plans.drop()
        self.cache.drop_plans()
        if self.images:
            self.images.encoder.drop_plans()

    def together(self, prompt: int, answer: int) -> int:
        """How many answers to one prompt may be decoded together.

        Args:
            prompt, answer: tokens of the prompt, and of each answer at most.
        """
        if self.sliding:
            return max(
                1, min(SLOTS, self.chunk, self.cache.pages.max_pages // self.layout.max_pages)
            )
        whole = prompt // PAGE
        each = -(-(prompt + answer) // PAGE) - whole
        return max(1, min(SLOTS, self.chunk, (self.cache.pages.max_pages - whole) // each))

    def write_rows(self, rows: Sequence[Row], picked: int = 0) -> None:
        """Write the step buffer: the rows that the next step computes.

        Args:
            picked: the row whose hidden state the plan "head" takes.
        """
        self.device.write(self.buffers.step, 0, self.layout.words(rows, picked))

    def write_guesses(self, rows: Sequence[Row]) -> None:
        """Write the rows of the next step behind the row that the step in flight writes itself."""
        for offset, words in self.layout.guesses(rows):
            self.device.write(self.buffers.step, offset, words)

    def go_on(self, sequence: CachedSequence, slots: Sequence[int] = (0,), drawn: int = 0) -> None:
        """Write the rows that answers begin with after ``runtime.generation.prefill``: each is the
        sequence's last token.

        Args:
            slots: of the answers.
            drawn: how many tokens count as drawn before.
        """
        token, position = sequence.tokens[-1], len(sequence.tokens) - 1
        rows = [Row(token, position, slot, drawn) for slot in slots]
        self.write_rows(rows, self.last_row)

    async def forward_plan(
        self,
        rows: int,
        images: ImageRows | None = None,
        *,
        adapted: bool = False,
        fused: bool = False,
    ) -> Plan:
        """The plan of a prompt's chunk: keys and values into the cache, and hidden states.

        Args:
            rows: of the chunk, at most.
            images: the rows of images among them; None: there are none.
            adapted: with the adapters that are loaded.
            fused: attention in a fused kernel, for a row with few keys; see ``Recording``.
        """
        rows = self.bucket(rows)
        make = partial(self.forward, rows, head=False, adapted=adapted, fused=fused)
        if images:
            make = partial(make, images=(images.map, images.table))
        name = "forward images" if images else "fused forward" if fused else "forward"
        name = plan_name(name, adapted)
        return await self.plans.get(self, name, rows, make)

    def forward(self, rows: int, *, head: bool = True, **others: Any) -> list[Dispatch]:
        """The dispatches of a forward pass over ``rows`` rows; ``head``: up to their logits."""
        graph = self.graph(rows, **others)
        self.model.forward(graph)
        if head:
            self.model.head(graph)
        return graph.dispatches

    def graph(
        self,
        rows: int,
        *,
        kv_format: KVFormat | None = None,
        fused: bool = False,
        gemm: Gemm | None = None,
        adapted: bool = False,
        **others: Any,
    ) -> Graph:
        """An empty graph over this executor's buffers, or others in the place of some.

        Args:
            adapted: with the adapters that are loaded; each row with those of its slot.
        """
        return Graph(
            rows,
            config=self.model.config,
            weights=self.weights,
            buffers=replace(self.buffers, **others),
            layout=self.layout,
            device=self.device,
            tuning=self.tuning,
            kv_format=kv_format or self.kv_format,
            fused=fused,
            gemm=gemm or self.gemm,
            adapters=self.adapters.matrices if adapted and self.adapters else None,
        )

    def bucket(self, rows: int) -> int:
        """``rows`` rounded up to one of few sizes, so that plans are reused."""
        if rows <= 8:
            return 1 << (rows - 1).bit_length()
        if rows <= self.tuning.few_rows:
            unit = max(8, 1 << (rows - 1).bit_length() - 3)
        else:
            unit = 32 if rows <= 64 else 64
        return -(-rows // unit) * unit

    def use_adapters(self, slots: Sequence[int], mix: Mix, *, alone: bool = False) -> None:
        """From now on compute the answers in these slots with these adapters, at these scales.

        Args:
            alone: no other slot is in use.
        """
        if self.adapters:
            self.adapters.use(slots, mix, alone=alone)
