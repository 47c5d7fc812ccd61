"""The report of ``webllm-py info``, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webllm_py.cli.prebuilt import prebuilt_rows
from webllm_py.cli.terminal import Style, printable
from webllm_py.units import count, counted, size

__all__ = ["report"]

LABEL = 16
Rows = Iterator[tuple[str, str]]


def report(found: Mapping[str, Any], style: Style) -> str:
    """The text of everything that ``info.describe`` found."""
    if found["kind"] == "prebuilt":
        sections = [(found["name"], prebuilt_rows(found))]
        if found["memory"]:
            sections.append(("Memory on the GPU", memory_rows(found["memory"])))
    else:
        sections = [
            (found["name"], model_rows(found)),
            ("Text", text_rows(found)),
            ("Memory on the GPU", memory_rows(found["memory"])),
        ]
    sections.append(("GPU", gpu_rows(found["gpu"])))
    lines: list[str] = []
    for title, rows in sections:
        lines += ["", style.bold(printable(title))]
        lines += [f"  {style.dim(label.ljust(LABEL))}{printable(value)}" for label, value in rows]
    return "\n".join(lines[1:])


def model_rows(found: Mapping[str, Any]) -> Rows:
    """Architecture and sizes."""
    kinds = {"gguf": "a GGUF", "huggingface": "a Hugging Face folder", "mlc": "an MLC folder"}
    yield "architecture", f"{found['architecture']}, from {kinds[found['kind']]}"
    experts = found.get("experts")
    active = f", {count(experts['active_parameters'])} of them for a token" if experts else ""
    yield "parameters", f"{count(found['parameters'])}{active}"
    formats = ", ".join(f"{name} {size(n)}" for name, n in found["bytes_by_format"].items())
    yield "weights", f"{size(found['file_bytes'])} ({formats})"
    yield "layers", f"{found['n_layers']} of {found['hidden_size']:,} wide{recurrent(found)}"
    yield "attention", attention(found)
    if not experts or experts["layers"] < found["n_layers"]:
        yield "feed-forward", f"{found['intermediate_size']:,} wide"
    if experts:
        yield "experts", mixture(experts)
    if "pooling" in found:
        yield from embedder_rows(found)
        return
    tied = "tied to the output layer" if found["tied_embeddings"] else "not tied"
    yield "embedding", f"{found['vocab_size']:,} tokens, {tied}"
    if found["vision"]:
        yield "images", f"read by its vision tower ({found['vision']})"
    scaling = f", scaled {found['rope_scaling']}" if found["rope_scaling"] else ""
    theta = f"rotary base {found['rope_theta']:,.0f}"
    yield "context", f"{found['trained_context_length']:,} tokens, {theta}{scaling}"


def embedder_rows(found: Mapping[str, Any]) -> Rows:
    """What a text embedder has besides."""
    yield "vocabulary", f"{found['vocab_size']:,} tokens"
    yield "texts", f"up to {found['trained_context_length']:,} tokens"
    pooled = {"mean": "the mean of all tokens", "cls": "the first token", "last": "the last token"}
    length = ", of length 1" if found["normalized"] else ""
    yield "vectors", f"{found['hidden_size']:,} numbers{length}: {pooled[found['pooling']]}"


def recurrent(found: Mapping[str, Any]) -> str:
    """How many layers keep a state instead of having attention."""
    layers = found.get("n_recurrent_layers", 0)
    return f", {layers} of them {found['recurrence']}s" if layers else ""


def attention(found: Mapping[str, Any]) -> str:
    """Heads and who shares them."""
    heads, shared = found["n_heads"], found["n_kv_heads"]
    keys = "" if heads == shared else f", {shared} of keys and values"
    return f"{heads} heads of {found['head_dim']}{keys}"


def mixture(experts: Mapping[str, Any]) -> str:
    """Experts, and how many a token goes to."""
    shared = f", and to one of {experts['shared_size']:,}" if experts["shared_size"] else ""
    there = f"{experts['count']} of {experts['size']:,} in {counted(experts['layers'], 'layer')}"
    return f"{there}; a token goes to {experts['used']}{shared}"


def text_rows(found: Mapping[str, Any]) -> Rows:
    """Tokenizer and template."""
    tokenizer, template = found["tokenizer"], found["chat_template"]
    yield "tokenizer", f"{tokenizer['kind']}, {tokenizer['tokens']:,} tokens"
    if tokenizer["bos"]:
        added = "added to every text" if tokenizer["adds_bos"] else "not added to texts"
        yield "begins with", f"{tokenizer['bos']} ({added})"
    if template is None:
        return  # a text embedder writes nothing
    yield "ends with", ", ".join(tokenizer["ends"]) or "nothing: only max_tokens ends a text"
    if "error" in template:
        yield "chat template", template["error"]
    elif template["from_checkpoint"]:
        knows = [what for what in ("system", "tools") if template[what]]
        extra = f"; knows {' and '.join(knows)}" if knows else "; knows no system messages"
        yield "chat template", f"its own{extra}"
    else:
        yield "chat template", "none of its own: not made for chats, a plain form stands in"


def memory_rows(memory: Mapping[str, Any]) -> Rows:
    """Bytes by what they are for."""
    if "error" in memory:
        yield "does not fit", memory["error"]
        return
    context = f"{memory['context_length']:,} tokens"
    yield "weights", f"{size(memory['weights'])}, {memory['quantization']}"
    yield "work buffers", size(memory["work"])
    if "cache_1000_tokens" not in memory:
        yield "after loading", size(memory["loaded"])
        yield "at most", f"{size(memory['whole'])}, with a text of {context}"
        return
    yield "KV cache", f"{size(memory['cache_1000_tokens'])} per 1,000 tokens, {memory['kv_dtype']}"
    yield "grammars", f"{size(memory['grammar'])}, from the first answer under one on"
    yield "after loading", size(memory["loaded"])
    yield "at most", f"{size(memory['whole'])}, with a conversation of {context}"


def gpu_rows(gpu: Mapping[str, Any]) -> Rows:
    """The adapter, its limits, and what of it is in use."""
    if "error" in gpu:
        yield "none", gpu["error"]
        return
    yield "adapter", gpu["adapter"] + (" (a CPU)" if gpu["is_cpu"] else "")
    yield "through", gpu["backend"]
    subgroups = f"subgroups of {gpu['subgroups']} or more" if gpu["subgroups"] else "no subgroups"
    yield "kernels use", f"{'f16' if gpu['f16'] else 'f32'}, {subgroups}"
    buffer, binding = size(gpu["max_buffer_bytes"]), size(gpu["max_binding_bytes"])
    yield "buffers", f"up to {buffer}, bound up to {binding}"
    threads = f"{gpu['max_workgroup_threads']:,} threads"
    yield "workgroups", f"up to {threads} and {size(gpu['max_workgroup_bytes'])}"
    tuned = len(gpu["tuned_shapes"])
    yield (
        "tuned",
        f"{counted(tuned, 'choice')} of kernels, by earlier loads" if tuned else "not yet",
    )
    yield "features", wrapped(gpu["features"], 78 - LABEL)


def wrapped(words: list[str], width: int) -> str:
    """Words on several lines, indented as values are."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += f", {word}" if lines[-1] else word
    return f",\n{' ' * (LABEL + 2)}".join(lines)
