"""What is fuzzed: each reads one kind of input as far as it is read without a GPU."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import definitions
from checkpoint_files import DATA, MemoryFolder, MemorySource, safetensors_bytes
from mutator import damaged_bytes, damaged_json, damaged_text, damaged_value

from webllm_py.api import parse_chat_request, parse_completion_request
from webllm_py.api.embeddings import parse_embedding_request
from webllm_py.chat import ChatTemplate
from webllm_py.checkpoint import open_checkpoint
from webllm_py.loading.texts import json_file, template_of, tokenizer_of
from webllm_py.models import ENCODERS, model_for
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES
from webllm_py.tokenizer import from_files

__all__ = ["TARGETS", "Target"]

TEXT = " the low ab<|im_end|> <s>1234 é你😀\n\n  abab"
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]},
    {"role": "tool", "content": "4", "tool_call_id": "a"},
    {"role": "user", "content": "so?"},
]  # fmt: skip
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
    },
}
SOUND_MESSAGES: list[Any] = json.loads(json.dumps(MESSAGES))
SOUND_MESSAGES[2]["tool_calls"][0]["function"]["arguments"] = '{"x": 1}'
REQUEST: dict[str, Any] = {
    "messages": SOUND_MESSAGES, "model": "m", "temperature": 0.5, "top_p": 0.9, "top_k": 5,
    "seed": 1, "max_tokens": 5, "stop": ["a", "b"], "n": 2, "logit_bias": {"5": 1.5},
    "logprobs": True, "top_logprobs": 2, "stream": True, "stream_options": {"include_usage": True},
    "tools": [TOOL],
    "tool_choice": "auto", "user": "u", "frequency_penalty": 0.1, "presence_penalty": 0.1,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
        "type": "object", "properties": {"a": {"type": "string", "pattern": "^a+$"},
                                         "b": {"enum": [1, "x"]}}, "required": ["a"]}}},
}  # fmt: skip
JINJA = (
    "{{", "}}", "{%", "%}", "{% for i in range(9999999) %}", "{% endfor %}", "{% if ", "{% else %}",
    "{% set x = ", "{% macro f(x) %}", "{% endmacro %}", "{{ f(f) }}", "messages", "[0]", ".role",
    "| tojson", "| join", "loop.index", "namespace()", "raise_exception(1)", "**", " * 99999999",
    "~", "'", '"', "{#", "#}", "-%}", "not ", " in ", ".__class__", "()", "[:1]", "{% break %}",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A kind of input: ``make`` a damaged one, and ``read`` it."""

    name: str
    make: Callable[[random.Random], Any]
    read: Callable[[Any], None]


async def understand(source: Any) -> None:
    """Open a checkpoint as ``load`` does, up to where the GPU begins."""
    checkpoint = await open_checkpoint(source)
    try:
        if checkpoint.architecture in ENCODERS:
            from webllm_py.models.bert import encoder_for

            vocab = encoder_for(checkpoint).config.vocab_size
        else:
            model = model_for(checkpoint)
            model.rope_factors(64)
            vocab = model.config.vocab_size
        tokenizer = tokenizer_of(checkpoint, vocab)
        json_file(checkpoint, "generation_config.json")
        template_of(checkpoint, tokenizer).render(MESSAGES)
        tokenizer.decode(tokenizer.encode(TEXT, add_special=True))
    finally:
        await checkpoint.close()


@cache
def gguf() -> bytes:
    shape = replace(SHAPES["tiny"], layers=1, hidden=64, ffn=96, heads=2, kv_heads=1, vocab=300)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        write_random_model(path, "m", shape, "q4_0")
        return path.read_bytes()


def damaged_gguf(rng: random.Random) -> bytes:
    data = gguf()
    header = data.index(b"output_norm.weight") + 64
    return damaged_bytes(data[:header], rng) + data[header:]


def read_gguf(data: bytes) -> None:
    asyncio.run(understand(MemorySource(data)))


@cache
def folder() -> Mapping[str, bytes]:
    """A llama of one layer, in safetensors."""
    vocab = definitions.vocab_size() + 10
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "rope_theta": 1e4, "num_key_value_heads": 1, "vocab_size": vocab,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "tie_word_embeddings": True, "head_dim": 16,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
        "eos_token_id": [1, 2], "bos_token_id": 0, "torch_dtype": "float32",
    }  # fmt: skip
    shapes = {
        "model.embed_tokens.weight": (vocab, 32), "model.norm.weight": (32,),
        "model.layers.0.input_layernorm.weight": (32,),
        "model.layers.0.post_attention_layernorm.weight": (32,),
        "model.layers.0.self_attn.q_proj.weight": (32, 32),
        "model.layers.0.self_attn.k_proj.weight": (16, 32),
        "model.layers.0.self_attn.v_proj.weight": (16, 32),
        "model.layers.0.self_attn.o_proj.weight": (32, 32),
        "model.layers.0.mlp.gate_proj.weight": (64, 32),
        "model.layers.0.mlp.up_proj.weight": (64, 32),
        "model.layers.0.mlp.down_proj.weight": (32, 64),
    }  # fmt: skip
    return {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": safetensors_bytes({n: ("F32", shape) for n, shape in shapes.items()}),
        "tokenizer.json": json.dumps(definitions.byte_level_json()).encode(),
        "tokenizer_config.json": b'{"eos_token": "<|im_end|>", "chat_template": "{{ messages }}"}',
        "generation_config.json": b'{"eos_token_id": [1, 2], "temperature": 0.5}',
    }


def damaged_folder(rng: random.Random) -> dict[str, bytes]:
    """The header of the weights, or one of the small files."""
    files = dict(folder())
    weights = files["model.safetensors"]
    length = 8 + int.from_bytes(weights[:8], "little")
    match rng.randrange(3):
        case 0:
            header = damaged_json(json.loads(weights[8:length]), rng)
            files["model.safetensors"] = (
                len(header).to_bytes(8, "little") + header + weights[length:]
            )
        case 1:
            files["model.safetensors"] = damaged_bytes(weights[:length], rng) + weights[length:]
        case _:
            name = rng.choice([name for name in files if name.endswith("config.json")])
            files[name] = damaged_json(json.loads(files[name]), rng)
    return files


def read_folder(files: dict[str, bytes]) -> None:
    asyncio.run(understand(MemoryFolder(files)))


@cache
def tokenizers() -> list[Any]:
    found = [definitions.byte_level_json(), definitions.wordpiece_json()]
    folders = ("TinyStories-656K", "llama-2-tiny-random")
    paths = [DATA / "checkpoints" / folder / "tokenizer.json" for folder in folders]
    # Only what is read quickly, so that many are.
    return found + [
        json.loads(p.read_bytes()) for p in paths if p.is_file() and p.stat().st_size < 9e4
    ]


def damaged_tokenizer(rng: random.Random) -> bytes:
    return damaged_json(rng.choice(tokenizers()), rng)


def read_tokenizer(data: bytes) -> None:
    tokenizer = from_files({"tokenizer.json": data})
    tokenizer.decode(tokenizer.encode(TEXT, add_special=True))


@cache
def templates() -> list[str]:
    found = [
        path.read_text("utf-8") for path in (DATA / "chat-templates" / "jinja").glob("*.jinja")
    ]
    return sorted(found) or ["{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}"]


def damaged_template(rng: random.Random) -> str:
    return damaged_text(rng.choice(templates()), JINJA, rng)


def read_template(source: str) -> None:
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    template.render(MESSAGES, tools=[TOOL], add_generation_prompt=True)


def damaged_request(rng: random.Random) -> Any:
    fields = damaged_value(REQUEST, rng)
    if isinstance(fields, dict) and rng.random() < 0.2:
        fields.pop("messages", None)
        fields[rng.choice(("prompt", "input"))] = damaged_value(["a", [1, 2]], rng)
    return fields


def read_request(fields: Any) -> None:
    kinds = {"prompt": parse_completion_request, "input": parse_embedding_request}
    for name, parse in kinds.items():
        if isinstance(fields, dict) and name in fields:
            parse(fields)
            return
    parse_chat_request(fields)


TARGETS = (
    Target("gguf", damaged_gguf, read_gguf),
    Target("safetensors", damaged_folder, read_folder),
    Target("tokenizer", damaged_tokenizer, read_tokenizer),
    Target("template", damaged_template, read_template),
    Target("request", damaged_request, read_request),
)
