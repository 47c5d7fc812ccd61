"""The results of a bench as a text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from webllm_py.bench.profile_table import microseconds, profile_lines
from webllm_py.units import count, counted, duration, significant, size

__all__ = ["table"]

LABEL, VALUE = 27, 15


def table(results: Mapping[str, Any]) -> str:
    """All that ``run`` found, with what it was measured on."""
    engine, options = results["engine"], results["options"]
    lines = [
        f"{engine['name']}: {count(engine['parameters'])} parameters, {engine['quantization']}, "
        f"{size(engine['file_bytes'])}",
        f"{engine['adapter']}, {engine['backend']}, kernels: {engine['kernels']}",
        f"medians of up to {counted(options['runs'], 'run')} (least - most), "
        f"decoding {counted(options['tokens'], 'token')}",
        "",
        *general_lines(results),
        "",
        *prefill_lines(results["prefill"], results["turn"]),
        "",
        *decode_lines(results["decode"]),
        *faster_lines(results["faster"]),
        *constrained_lines(results["constrained"]),
        *tuning_lines(results["tuning"], engine["tuning"]),
        *(text for profile in results["profile"] for text in ("", *profile_lines(profile))),
        *(f"left out: {reason}" for reason in results["skipped"]),
    ]
    return "\n".join(lines).rstrip()


def general_lines(results: Mapping[str, Any]) -> Iterator[str]:
    """What is there once."""
    if results["load_s"] is not None:
        times = {name: duration(s) for name, s in results["engine"]["load_times"].items()}
        parts = f"header {times['header']}, tokenizer {times['tokenizer']}"
        yield line("load", duration(results["load_s"]), parts)
        yield line("  weights of it", times["weights"], f"{times['waited']} waiting for bytes")
        yield line("  kernels, meanwhile", times["kernels"], f"asked for after {times['asked']}")
        if "tuning" in times:
            yield line("  tuning, then", times["tuning"])
    yield line("memory on the GPU", size(results["engine"]["gpu_memory"]))
    bandwidth = results["bandwidth"]
    speed = f"{size(bandwidth['bytes_per_s'])}/s"
    yield line("memory bandwidth", speed, f"measured, reading {size(bandwidth['buffer_bytes'])}")


def prefill_lines(rows: list[dict[str, Any]], turn: Mapping[str, Any] | None) -> Iterator[str]:
    """Times to the first token, then rates."""
    for row in rows:
        times = row["first_token_s"]
        label = f"first token, {row['prompt_tokens']:,} tokens"
        yield line(label, duration(times["median"]), bounds(times, duration))
    if turn:
        times = turn["first_token_s"]
        label = f"{turn['prompt_tokens']:,} more after {turn['history']:,}"
        yield line(label, duration(times["median"]), bounds(times, duration))
    for row in rows:
        rates = row["tokens_per_s"]
        label = f"prefill, {row['prompt_tokens']:,} tokens"
        yield line(label, rate(rates), bounds(rates, significant))


def decode_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Rates, and what each token takes."""
    for row in rows:
        rates = row["tokens_per_s"]
        label = f"decode, {row['sampling']}, at {row['context']:,}"
        share = f"{row['bandwidth_share']:.1%} of bandwidth"
        yield line(label, rate(rates), f"{bounds(rates, significant):<16}{share}")
    for row in rows:
        times = row["host_s_per_token"]
        label = f"host work, {row['sampling']}, at {row['context']:,}"
        yield line(label, f"{microseconds(times['median'])} us", bounds(times, microseconds))
    for row in rows:
        if row["sampling"] == "greedy":
            work = (
                f"{row['dispatches_per_token']} dispatches, {row['submits_per_token']:.2f} submits"
            )
            yield line(f"a token at {row['context']:,}", size(row["bytes_per_token"]), work)


def faster_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Rates of what is not one token at a time."""
    for row in rows:
        rates = row["tokens_per_s"]
        label = f"decode, {row['name']}, at {row['context']:,}"
        yield line(label, rate(rates), bounds(rates, significant))


def constrained_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Rates under a schema and of any text."""
    at = f"at {found['context']:,}"
    labels = {
        "constrained": f"decode, a schema, {at}",
        "free": f"decode, any text, {at}",
        "first": "a schema, the first answer",
        "new": "a schema, new texts",
    }
    for name, label in labels.items():
        yield line(label, rate(found[name]), bounds(found[name], significant))
    yield line("a schema / any text", f"{found['share']:.3f}", "run by run in turn")


def tuning_lines(tuning: Mapping[str, Any] | None, about: str) -> Iterator[str]:
    """What was tuned, and what that gained."""
    yield f"kernels: {about}"
    if tuning:
        for name in ("tuned", "default"):
            rates = tuning[name]
            label = f"decode, {name}, at {tuning['context']:,}"
            yield line(label, rate(rates), bounds(rates, significant))
        yield line("tuned / default", f"{tuning['gain']:.3f}", "run by run in turn")


def rate(values: Mapping[str, Any]) -> str:
    """The median of tokens a second."""
    return f"{significant(values['median'])} tokens/s"


def bounds(values: Mapping[str, Any], shown: Callable[[float], str]) -> str:
    """The least and the most of several runs."""
    if len(values["runs"]) == 1:
        return ""
    return f"({shown(values['min'])} - {shown(values['max'])})"


def line(label: str, value: str, more: str = "") -> str:
    """One row of the table."""
    return f"{label:<{LABEL}} {value:>{VALUE}}  {more}".rstrip()
