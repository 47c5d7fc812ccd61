"""Stores an answer's tokens while it is given, so that another process can finish it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from webllm_py.chat.plain import NotPlainError, to_plain
from webllm_py.concurrency import uninterrupted
from webllm_py.engine.answers import Answer
from webllm_py.engine.prompts import PreparedRequest
from webllm_py.errors import DeviceError, DeviceLostError, RequestError, SourceError
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.store.kept_answers import AnswersStore, KeptAnswer
from webllm_py.fetch.store.models_store import models_store
from webllm_py.loading import LoadOptions
from webllm_py.runtime.saved_state import fingerprint

__all__ = ["answers_store", "keeping"]

SECONDS = 0.4
"""Between two times that what was said is kept: what is lost of it is said again, the same."""

logger = logging.getLogger(__name__)


def answers_store(options: LoadOptions) -> AnswersStore:
    """Where answers are kept: beside the models."""
    fetch = options.fetch or FetchOptions()
    return AnswersStore(models_store(fetch.store).backend)


@asynccontextmanager
async def keeping(
    store: AnswersStore,
    prepared: PreparedRequest,
    answer: Answer,
    known: KeptAnswer | None,
    *,
    model: str,
) -> AsyncIterator[None]:
    """While this lasts, keep what the answer says. It is forgotten in the end, unless the GPU
    is the reason."""
    wanted = prepared.request.resumable
    name = wanted if isinstance(wanted, str) else prepared.responses.id
    kept = await store.begin(name, head_of(prepared, answer, model), known)
    if kept is None:
        raise RequestError(
            f"an answer {name!r} is under way; give this one another name", param="resumable"
        )
    writing, over = asyncio.ensure_future(keep(kept, answer)), True
    try:
        yield
    except DeviceError:
        over = False
        raise
    finally:
        await uninterrupted(ended(kept, writing, over=over))


async def ended(kept: KeptAnswer, writing: asyncio.Future[None], *, over: bool) -> None:
    """Keep no more of an answer, or nothing at all."""
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    with suppress(SourceError):
        await (kept.remove() if over else kept.release())


def head_of(prepared: PreparedRequest, answer: Answer, model: str) -> dict[str, Any]:
    """What an answer can be begun again from.

    Raises:
        RequestError: a field that cannot be kept.
    """
    fields = {**prepared.fields}
    if isinstance(bias := fields.get("logit_bias"), Mapping):
        fields["logit_bias"] = {str(token): value for token, value in bias.items()}
    prompt: Any = fields.get("prompt")
    if hasattr(prompt, "tolist"):  # numpy's arrays
        fields["prompt"] = prompt.tolist()
    try:
        fields = to_plain(fields)
    except NotPlainError as error:
        raise RequestError(f"a resumable request cannot be kept: {error}", param="resumable") from (
            error
        )
    return {
        "model": model,
        "kind": prepared.kind,
        "fields": fields,
        "identity": [prepared.responses.id, prepared.responses.created],
        "prompts": [[*prompt.tokens] for prompt in prepared.prompts],
        "seed": answer.seed,
    }


async def keep(kept: KeptAnswer, answer: Answer) -> None:
    """Write down what an answer says, now and then, until cancelled."""
    counts: list[int] = []
    try:
        while "fingerprint" not in kept.head:
            try:
                kept.head["fingerprint"] = await fingerprint(answer.executor)
            except DeviceLostError:
                await asyncio.sleep(SECONDS)
        await kept.write_head()
        while True:
            await asyncio.sleep(SECONDS)
            before, counts = counts, [len(choice.tokens) for choice in answer.choices]
            if any(counts) and counts != before:
                await kept.write(answer.said)
    except SourceError as error:
        logger.warning("this answer cannot be kept: %s", error)
