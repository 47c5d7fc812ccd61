"""The usage of an answer in responses: its tokens and times."""

from __future__ import annotations

import time
from collections.abc import Sequence

from webllm_py.api import Extra, GenerationRequest, Timings, Usage
from webllm_py.engine.prompts import Prompt
from webllm_py.runtime.generation.generate import GenerationStats

__all__ = ["usage_of"]


def usage_of(
    request: GenerationRequest,
    prompts: Sequence[Prompt],
    stats: Sequence[GenerationStats],
    submitted: float,
) -> Usage:
    """Tokens and times so far.

    Args:
        stats: of each choice that was begun, one prompt's after the other's.
        submitted: when the request was made, ``time.perf_counter`` seconds.
    """
    drawn = sum(one.generated for one in stats)
    firsts = [one.first_token for one in stats if one.first_token]
    timings = Timings.measure(
        submitted=submitted,
        started=stats[0].began if stats else submitted,
        first_token=firsts[0] if firsts else None,
        finished=max((one.last_token for one in stats), default=0.0) or time.perf_counter(),
        prefilled_tokens=sum(one.prompt_tokens - one.cached_tokens for one in stats[:1]),
        completion_tokens=drawn,
    )
    return Usage.count(
        sum(len(prompt.tokens) for prompt in prompts),
        drawn,
        cached_tokens=sum(one.cached_tokens for one in stats[:: request.drawn]),
        timings=timings,
        extra=breakdown(request, timings, stats) if request.latency_breakdown else None,
    )


def breakdown(
    request: GenerationRequest, timings: Timings, stats: Sequence[GenerationStats]
) -> Extra:
    """The timings and what each token took, one choice's after the other's."""
    times = [one.times for one in stats if one.times]
    return Extra.of(
        timings,
        masks=[seconds for one in times for seconds in one.masks],
        processors=[seconds for one in times for seconds in one.processors],
        tokens=[seconds for one in times for seconds in one.tokens],
        grammar=request.grammar_seconds,
    )
