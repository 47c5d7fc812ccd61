"""How likely a text is, token by token: log-probabilities of what is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from webllm_py.gpu.device import Plan
from webllm_py.models.step import Row
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.inspection.logits import ROWS, all_parts
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.sampling.logprobs import Logprobs, TokenLogprob

__all__ = ["all_logprobs"]


async def all_logprobs(
    executor: Executor,
    tokens: Sequence[int],
    top: int,
    interrupted: Callable[[], bool],
    adapters: Mix = (),
) -> list[TokenLogprob]:
    """The log-probability of each token after those before it, with ``top`` alternatives each.

    As exact as ``all_logits``. Interrupted, it says nothing of the last ones.

    Raises:
        GPUOutOfMemoryError: no memory for the keys and values.
    """
    device, vocab = executor.device, executor.model.config.vocab_size
    found = [TokenLogprob(tokens[0], None)]
    rows = min(ROWS, executor.chunk)
    plan: Plan | None = None
    async with all_parts(executor, tokens, adapters) as (parts, scratch):
        logprobs = Logprobs(device, scratch, vocab, executor.tuning, ring=rows, top=top, rows=rows)
        try:
            async for part, target in parts:
                if interrupted():
                    break
                if plan is None:
                    found_by = logprobs.dispatches(target, executor.buffers.step, rows)
                    plan = await device.record("all logprobs", found_by)
                following = tokens[len(found) : len(found) + len(part)]
                # As if each row had drawn the token that follows.
                executor.write_rows([Row(t, 0, 0, i) for i, t in enumerate(following, start=1)])
                device.replay(plan)
                data = await logprobs.read(0, len(part))
                found += logprobs.of_slot(data, 0, following)
        finally:
            if plan:
                device.drop(plan)
    return found + [TokenLogprob(token, None) for token in tokens[len(found) :]]
