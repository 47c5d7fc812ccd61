"""Hidden states and attentions of an answer: its tokens go through the model once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from webllm_py.api.checks import fail
from webllm_py.api.inspected import NOT_INSPECTED, Inspected
from webllm_py.arrays import shaped
from webllm_py.errors import ContextLengthError, RequestError
from webllm_py.models.kv_cache import longest_context
from webllm_py.units import counted

if TYPE_CHECKING:
    from webllm_py.api import GenerationRequest
    from webllm_py.engine.prompts import Prompt
    from webllm_py.models.config import ModelConfig
    from webllm_py.runtime.executor import Executor
    from webllm_py.runtime.inspection.inspector import Found, Wanted
    from webllm_py.runtime.kv.pages import Mix

__all__ = [
    "arrays_of",
    "attending",
    "check_inspected",
    "check_size",
    "inspected",
    "longest_inspected",
]

# Of what one call returns.
MOST_BYTES = 1 << 30


def longest_inspected(executor: Executor) -> int:
    """Most tokens of a pass in float32, whose cache may end before the context does."""
    longest = longest_context(executor.model.config, executor.device, "f32")
    return min(executor.context_length, longest)


def attending(config: ModelConfig) -> list[int]:
    """The layers that have attention."""
    return [layer for layer in range(config.n_layers) if not config.kind(layer).recurrent]


def check_size(
    shapes: Iterable[tuple[int, ...]], param: str, instead: str, copies: int = 1
) -> None:
    """Refuse to return more than can be.

    Args:
        instead: what to ask for.

    Raises:
        RequestError: naming ``param``.
    """
    total = 4 * copies * sum(map(prod, shapes))
    if total > MOST_BYTES:
        raise RequestError(
            f"that would return {total >> 20:,} MiB, and {MOST_BYTES >> 20:,} are the most; "
            f"{instead}",
            param=param,
        )


def wanted_of(request: GenerationRequest, config: ModelConfig) -> Wanted:
    """What a request wants."""
    from webllm_py.runtime.inspection.inspector import Wanted  # a page's snapshot is small

    return Wanted(
        hidden_states=request.return_hidden_states,
        attentions=attending(config) if request.return_attentions else (),
    )


def arrays_of(found: Found, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What was found, as arrays."""
    return {name: shaped(getattr(found, name), *shape) for name, shape in shapes.items()}


def check_inspected(
    request: GenerationRequest, executor: Executor, prompts: Sequence[Prompt]
) -> None:
    """Refuse, before an answer is begun, what could not be returned with it.

    Raises:
        RequestError: images, or more than 1 GiB if the answer is as long as it may be.
        ContextLengthError: more tokens than a cache in float32 holds.
    """
    if not request.inspects:
        return
    param = "return_attentions" if request.return_attentions else "return_hidden_states"
    if any(prompt.images for prompt in prompts):
        fail(param, "is not done of a prompt with images.")
    limit, config = longest_inspected(executor), executor.model.config
    for prompt in prompts:
        room = executor.context_length - len(prompt.tokens)
        longest = room if request.max_tokens is None else min(room, request.max_tokens)
        tokens = len(prompt.tokens) + longest
        if tokens > limit:
            raise ContextLengthError(
                f"{param} can be had of {counted(limit, 'token')} here, and this prompt and answer "
                f"may have {tokens:,}; ask for fewer max_tokens",
                param=param,
            )
        shapes = wanted_of(request, config).shapes(config, tokens).values()
        choices = request.n * len(prompts)
        check_size(shapes, param, "ask for fewer max_tokens or choices", choices)


async def inspected(
    executor: Executor,
    request: GenerationRequest,
    tokens: Sequence[int],
    interrupted: Callable[[], bool],
    adapters: Mix,
) -> Inspected:
    """What a request wants of these tokens; nothing once it is interrupted."""
    from webllm_py.runtime.inspection.inspector import inspect  # see above

    config = executor.model.config
    wanted = wanted_of(request, config)
    found = await inspect(executor, tokens, wanted, interrupted, adapters)
    if found is None:
        return NOT_INSPECTED
    arrays = arrays_of(found, wanted.shapes(config, len(tokens)))
    return Inspected(token_ids=[*tokens], **arrays)
