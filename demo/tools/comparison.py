"""What two engines took for the same, as ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from webllm_py.units import duration, significant

from .peers import Peer

__all__ = ["Comparison", "as_json", "compare", "ratio_table"]

LABEL, VALUE, RATIO = 27, 17, 9


@dataclass(frozen=True)
class Comparison:
    """One measurement of both engines, in tokens a second or in seconds; medians.

    Attributes:
        ratio: how many times as fast ours is.
    """

    what: str
    unit: str
    ours: float
    theirs: float
    ratio: float


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Comparison]:
    """What both measured.

    Args:
        ours: the bench page's report: "results" and "start_s".
        theirs: the peer page's report.
    """
    results = ours["results"]
    greedy = [row for row in results["decode"] if row["sampling"] == "greedy"]
    return [
        *(
            rate(f"decode at {row['context']:,}", row["tokens_per_s"], peer["tokens_per_s"])
            for row, peer in zip(greedy, theirs["decode"], strict=True)
        ),
        *(
            rate(f"prefill, {row['prompt_tokens']:,} tokens", row["tokens_per_s"], peer)
            for row, peer in prefills(results, theirs, "tokens_per_s")
        ),
        *(
            seconds(f"first token, {row['prompt_tokens']:,} tokens", row["first_token_s"], peer)
            for row, peer in prefills(results, theirs, "first_token_s")
        ),
        seconds(
            "start and load", {"median": ours["start_s"] + results["load_s"]}, [theirs["load_s"]]
        ),
    ]


def prefills(
    results: Mapping[str, Any], theirs: Mapping[str, Any], field: str
) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """Our row and the peer's runs, for each length of prompt."""
    for row, peer in zip(results["prefill"], theirs["prefill"], strict=True):
        yield row, peer[field]


def rate(what: str, ours: Mapping[str, Any], theirs: list[float]) -> Comparison:
    """More is faster."""
    mine, other = ours["median"], median(theirs)
    return Comparison(what, "tokens/s", mine, other, mine / other)


def seconds(what: str, ours: Mapping[str, Any], theirs: list[float]) -> Comparison:
    """Less is faster."""
    mine, other = ours["median"], median(theirs)
    return Comparison(what, "s", mine, other, other / mine)


def ratio_table(peer: Peer, theirs: Mapping[str, Any], rows: list[Comparison]) -> str:
    """The comparison as a text for people."""
    lines = [f"{'':<{LABEL}} {'webllm_py':>{VALUE}} {peer.name:>{VALUE}} {'ratio':>{RATIO}}"]
    lines += [
        f"{row.what:<{LABEL}} {value(row.ours, row.unit):>{VALUE}} "
        f"{value(row.theirs, row.unit):>{VALUE}} {times(row.ratio):>{RATIO}}"
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "",
            "ratio: how many times as fast webllm_py is, greedy, both in this browser in turn",
            "start and load: Python or WebAssembly, the GPU, the model",
            f"{peer.name} {peer.version} {peer.ran(theirs)}",
        ]
    )


def value(number: float, unit: str) -> str:
    """A rate or a time."""
    return duration(number) if unit == "s" else f"{significant(number)} {unit}"


def times(ratio: float) -> str:
    """A ratio: two digits and more after the point below 10."""
    return f"{ratio:.2f} x" if ratio < 9.995 else f"{significant(ratio)} x"


def as_json(rows: list[Comparison]) -> list[dict[str, Any]]:
    """The comparison as plain values."""
    return [asdict(row) for row in rows]
