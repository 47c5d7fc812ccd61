"""A server's metrics, in the text format that Prometheus reads.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "webllm_py_"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)


class Histogram:
    """How many of some durations were at most so long."""

    def __init__(self) -> None:
        self.counts = [0] * len(SECONDS)
        self.count, self.sum = 0, 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.sum += seconds
        for i, bound in enumerate(SECONDS):
            self.counts[i] += seconds <= bound

    def samples(self, name: str) -> Iterator[str]:
        """Its lines."""
        for bound, count in zip(SECONDS, self.counts, strict=True):
            yield sample(f"{name}_bucket", count, le=f"{bound:g}")
        yield sample(f"{name}_bucket", self.count, le="+Inf")
        yield sample(f"{name}_sum", round(self.sum, 6))
        yield sample(f"{name}_count", self.count)


class Metrics:
    """Counts of requests and tokens since the server began.

    Attributes:
        slow_readers: streams that were ended because nobody read them.
    """

    def __init__(self) -> None:
        self.slow_readers = 0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._tokens: Counter[str] = Counter()
        self._first_token, self._whole = Histogram(), Histogram()

    def ended(self, endpoint: str, status: int) -> None:
        """A request's end; 499 where nobody waited for it."""
        self._requests[endpoint, status] += 1

    def used(self, usage: Mapping[str, Any]) -> None:
        """What an answer took: an OpenAI ``usage``, with this package's ``timings``."""
        details = usage.get("prompt_tokens_details") or {}
        self._tokens["prompt"] += usage["prompt_tokens"]
        self._tokens["cached"] += details.get("cached_tokens", 0)
        self._tokens["completion"] += usage.get("completion_tokens", 0)
        timings = usage.get("timings") or {}
        for histogram, name in (
            (self._first_token, "time_to_first_token_s"),
            (self._whole, "e2e_latency_s"),
        ):
            if timings.get(name) is not None:
                histogram.add(timings[name])

    def text(self, **gauges: tuple[float, str]) -> str:
        """All of it.

        Args:
            gauges: what the engine says of itself now, by name: a number, and what it is.
        """
        families = [
            family("requests_total", "counter", "Requests that ended, by HTTP status", self.ends()),
            *(
                family(f"{name}_total", "counter", help, [sample(f"{name}_total", count)])
                for name, help, count in (
                    ("prompt_tokens", "Tokens of prompts", self._tokens["prompt"]),
                    (
                        "prompt_tokens_cached",
                        "Of these, found in the cache",
                        self._tokens["cached"],
                    ),
                    ("completion_tokens", "Tokens generated", self._tokens["completion"]),
                    ("slow_readers", "Streams ended as nobody read them", self.slow_readers),
                )
            ),
            *(
                family(name, "histogram", help, histogram.samples(name))
                for name, help, histogram in (
                    (
                        "time_to_first_token_seconds",
                        "From the request to its first token, waiting included",
                        self._first_token,
                    ),
                    ("request_seconds", "From the request to its last token", self._whole),
                )
            ),
            *(
                family(name, "gauge", help, [sample(name, value)])
                for name, (value, help) in gauges.items()
            ),
        ]
        return "".join(families)

    def ends(self) -> Iterator[str]:
        """Lines of the requests that ended."""
        for (endpoint, status), count in sorted(self._requests.items()):
            yield sample("requests_total", count, endpoint=endpoint, status=str(status))


def family(name: str, kind: str, help: str, samples: Iterable[str]) -> str:
    """A metric: what it is, then its lines."""
    head = f"# HELP {PREFIX}{name} {help}.\n# TYPE {PREFIX}{name} {kind}\n"
    return head + "".join(samples)


def sample(name: str, value: float, **labels: str) -> str:
    """One line."""
    # JSON escapes a label's value as the format has it.
    shown = ",".join(
        f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in labels.items()
    )
    return f"{PREFIX}{name}{f'{{{shown}}}' if shown else ''} {value}\n"
