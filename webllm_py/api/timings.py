"""How fast a request was: this package's ``usage.timings``, and WebLLM's ``usage.extra``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from webllm_py.api.records import OPTIONAL, Record

__all__ = ["Extra", "LatencyBreakdown", "Timings"]


@dataclass(frozen=True, eq=False)
class Timings(Record):
    """How fast a request was. None where nothing could be measured.

    The names are those of WebLLM's ``usage.extra``. llama.cpp's ``timings`` has the same as
    ``prompt_per_second``, ``predicted_per_second``, and ``*_ms``.

    Attributes:
        prefill_tokens_per_s: prompt tokens that had to be computed, a second.
        decode_tokens_per_s: generated tokens after the first, a second, of all choices together.
        time_to_first_token_s: from handing in the request, waiting for its turn included.
        time_per_output_token_s: the inverse of ``decode_tokens_per_s``.
        e2e_latency_s: from handing in the request to its last token.
    """

    prefill_tokens_per_s: float | None = None
    decode_tokens_per_s: float | None = None
    time_to_first_token_s: float | None = None
    time_per_output_token_s: float | None = None
    e2e_latency_s: float | None = None

    @classmethod
    def measure(
        cls,
        *,
        submitted: float,
        started: float,
        first_token: float | None,
        finished: float,
        prefilled_tokens: int,
        completion_tokens: int,
    ) -> Timings:
        """From the clock, in seconds: request handed in, begun, first token known (None if there
        was none), all done."""
        if first_token is None:
            return cls(e2e_latency_s=finished - submitted)
        decode_rate = _rate(completion_tokens - 1, finished - first_token)
        return cls(
            prefill_tokens_per_s=_rate(prefilled_tokens, first_token - started),
            decode_tokens_per_s=decode_rate,
            time_to_first_token_s=first_token - submitted,
            time_per_output_token_s=1 / decode_rate if decode_rate else None,
            e2e_latency_s=finished - submitted,
        )


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if count > 0 and seconds > 0 else None


@dataclass(frozen=True, eq=False)
class LatencyBreakdown(Record):
    """Seconds of each token, as WebLLM names them.

    Bias, penalties and the draw are one kernel on the GPU here, which nothing waits for: no times
    of theirs are known.

    Attributes:
        totalTime: from one token to the next; of those that arrive together, the mean.
        grammarBitmaskTime: of finding the mask, where a token has one of its own.
        logitProcessorTime: of Python's processors and the logits' way to them and back.
    """

    logitProcessorTime: list[float]  # noqa: N815
    logitBiasTime: list[float]  # noqa: N815
    penaltyTime: list[float]  # noqa: N815
    sampleTime: list[float]  # noqa: N815
    totalTime: list[float]  # noqa: N815
    grammarBitmaskTime: list[float]  # noqa: N815


@dataclass(frozen=True, eq=False)
class Extra(Timings):
    """WebLLM's ``usage.extra``, which a request with ``enable_latency_breakdown`` gets.

    Attributes:
        grammar_init_s: of compiling the grammar.
        grammar_per_token_s: of masks, by tokens.
    """

    grammar_init_s: float | None = field(default=None, metadata=OPTIONAL)
    grammar_per_token_s: float | None = field(default=None, metadata=OPTIONAL)
    latencyBreakdown: LatencyBreakdown | None = None  # noqa: N815

    @classmethod
    def of(
        cls,
        timings: Timings,
        *,
        masks: Sequence[float],
        processors: Sequence[float],
        tokens: Sequence[float],
        grammar: float | None = None,
    ) -> Extra:
        """The timings, with seconds of each mask, of each step's processors, of each token and of
        compiling the grammar."""
        times = LatencyBreakdown([*processors], [], [], [], [*tokens], [*masks])
        per_token = sum(masks) / len(tokens) if masks and tokens else None
        return cls(
            **timings,
            grammar_init_s=grammar,
            grammar_per_token_s=per_token,
            latencyBreakdown=times,
        )
