"""The models that WebLLM lists as prebuilt, by its own names for them (version 0.2.83).

What WebLLM compiled for them is not needed: their weights are MLC folders on the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

__all__ = ["Prebuilt", "near_prebuilt", "prebuilt_models"]

# Families by MLC's model_type; of each model the context that WebLLM gives it, and its
# quantizations with the megabytes of GPU memory that WebLLM counts for them. A star: also for weak
# devices. -1k: with a context of 1024, -b4 and -b32: with batches of 4 and of 32, from the same
# files.
TABLE = """
llama:
  Llama-3.2-1B-Instruct 4096 q4f32_1 1129*, q4f16_1 879*, q0f32 5106*, q0f16 2573*
  Llama-3.2-3B-Instruct 4096 q4f32_1 2952*, q4f16_1 2264*
  Llama-3.1-8B-Instruct 4096 q4f32_1-1k 5296*, q4f16_1-1k 4598*, q4f32_1 6101, q4f16_1 5001
  DeepSeek-R1-Distill-Llama-8B 4096 q4f32_1 6101, q4f16_1 5001
  Hermes-2-Theta-Llama-3-8B 4096 q4f16_1 4976, q4f32_1 6051
  Hermes-2-Pro-Llama-3-8B 4096 q4f16_1 4976, q4f32_1 6051
  Hermes-3-Llama-3.2-3B 4096 q4f32_1 2952*, q4f16_1 2264*
  Hermes-3-Llama-3.1-8B 4096 q4f32_1 5779, q4f16_1 4876
  SmolLM2-1.7B-Instruct 4096 q4f16_1 1774*, q4f32_1 2692*
  SmolLM2-360M-Instruct 4096 q0f16 872*, q0f32 1744*, q4f16_1 376*, q4f32_1 580*
  SmolLM2-135M-Instruct 4096 q0f16 360*, q0f32 719*
  TinyLlama-1.1B-Chat-v1.0 2048 q4f16_1 697*, q4f32_1 840*, q4f16_1-1k 675*, q4f32_1-1k 796*
  Llama-3.1-70B-Instruct 4096 q3f16_1 31153
  Llama-3-8B-Instruct 4096 q4f32_1-1k 5296*, q4f16_1-1k 4598*, q4f32_1 6101, q4f16_1 5001
  Llama-3-70B-Instruct 4096 q3f16_1 31153
  Llama-2-7b-chat-hf 4096 q4f32_1-1k 5284, q4f16_1-1k 4619, q4f32_1 9109, q4f16_1 6749
  Llama-2-13b-chat-hf 4096 q4f16_1 11814
  TinyLlama-1.1B-Chat-v0.4 2048 q4f16_1 697*, q4f32_1 840*, q4f16_1-1k 675*, q4f32_1-1k 796*
qwen2:
  DeepSeek-R1-Distill-Qwen-7B 4096 q4f16_1 5107, q4f32_1 5900
  Qwen2.5-0.5B-Instruct 4096 q4f16_1 945*, q4f32_1 1060*, q0f16 1624*, q0f32 2655*
  Qwen2.5-1.5B-Instruct 4096 q4f16_1 1630*, q4f32_1 1889*
  Qwen2.5-3B-Instruct 4096 q4f16_1 2505*, q4f32_1 2894*
  Qwen2.5-7B-Instruct 4096 q4f16_1 5107, q4f32_1 5900
  Qwen2.5-Coder-0.5B-Instruct 4096 q4f16_1 945*, q4f32_1 1060*, q0f16 1624*, q0f32 2655*
  Qwen2.5-Coder-1.5B-Instruct 4096 q4f16_1 1630, q4f32_1 1889
  Qwen2.5-Coder-3B-Instruct 4096 q4f16_1 2505*, q4f32_1 2894*
  Qwen2.5-Coder-7B-Instruct 4096 q4f16_1 5107, q4f32_1 5900
  Qwen2.5-Math-1.5B-Instruct 4096 q4f16_1 1630*, q4f32_1 1889*
  Qwen2-0.5B-Instruct 4096 q4f16_1 945*, q0f16 1624*, q0f32 2655*
  Qwen2-1.5B-Instruct 4096 q4f16_1 1630*, q4f32_1 1889*
  Qwen2-7B-Instruct 4096 q4f16_1 5107, q4f32_1 5900
  Qwen2-Math-1.5B-Instruct 4096 q4f16_1 1630*, q4f32_1 1889*
  Qwen2-Math-7B-Instruct 4096 q4f16_1 5107, q4f32_1 5900
mistral:
  Hermes-2-Pro-Mistral-7B 4096 q4f16_1 4033
  Mistral-7B-Instruct-v0.3 4096 q4f16_1 4573, q4f32_1 5619
  Mistral-7B-Instruct-v0.2 4096 q4f16_1 4573
  OpenHermes-2.5-Mistral-7B 4096 q4f16_1 4573
  NeuralHermes-2.5-Mistral-7B 4096 q4f16_1 4573
  WizardMath-7B-V1.1 4096 q4f16_1 4573
phi3:
  Phi-3.5-mini-instruct 4096 q4f16_1 3672, q4f32_1 5483, q4f16_1-1k 2520*, q4f32_1-1k 3179*
  Phi-4-mini-instruct 4096 q4f16_1 3438, q4f32_1 4221
  Phi-3-mini-4k-instruct 4096 q4f16_1 3672, q4f32_1 5483, q4f16_1-1k 2520*, q4f32_1-1k 3179*
phi3_v:
  Phi-3.5-vision-instruct 4096 q4f16_1 3952*, q4f32_1 5880*
gemma2:
  gemma-2-2b-it 4096 q4f16_1 1895, q4f32_1 2509, q4f16_1-1k 1583*, q4f32_1-1k 1885*
  gemma-2-9b-it 4096 q4f16_1 6422, q4f32_1 8383
  gemma-2-2b-jpn-it 4096 q4f16_1 1895*, q4f32_1 2509*
gemma3_text:
  gemma3-1b-it 4096 q4f16_1 711*
olmo2:
  OLMo-2-1124-7B-Instruct 4096 q4f16_1 6479, q4f32_1 9086
  OLMo-2-0425-1B-Instruct 4096 q4f16_1 1777*, q4f32_1 2454*
qwen3:
  Qwen3-0.6B 4096 q4f16_1 1403*, q4f32_1 1925*, q0f16 2220*, q0f32 3843*
  Qwen3-1.7B 4096 q4f16_1 2037*, q4f32_1 2635*
  Qwen3-4B 4096 q4f16_1 3432*, q4f32_1 4328*
  Qwen3-8B 4096 q4f16_1 5696, q4f32_1 6853
qwen3_5:
  Qwen3.5-0.8B 4096 q4f16_1 1629*, q4f32_1 1894*, q0f16 2660*
  Qwen3.5-2B 4096 q4f16_1 2245, q4f32_1 2592
  Qwen3.5-4B 4096 q4f16_1 3868, q4f32_1 4680
  Qwen3.5-9B 4096 q4f16_1 6433, q4f32_1 7545
stablelm:
  stablelm-2-zephyr-1_6b 4096 q4f16_1 2088, q4f32_1 2999, q4f16_1-1k 1512*, q4f32_1-1k 1847*
gpt_neox:
  RedPajama-INCITE-Chat-3B-v1 2048 q4f16_1 2972, q4f32_1 3928, q4f16_1-1k 2041*, q4f32_1-1k 2558*
ministral3:
  Ministral-3-3B-Base-2512 4096 q4f16_1 2864*, q4f32_1 3532*
  Ministral-3-3B-Reasoning-2512 4096 q4f16_1 2864*, q4f32_1 3532*
  Ministral-3-3B-Instruct-2512-BF16 4096 q4f16_1 2864*, q4f32_1 3532*
gemma:
  gemma-2b-it 4096 q4f16_1 1477, q4f32_1 1751, q4f16_1-1k 1477*, q4f32_1-1k 1751*
phi-msft:
  phi-2 2048 q4f16_1 3054, q4f32_1 4032, q4f16_1-1k 2132*, q4f32_1-1k 2740*
  phi-1_5 2048 q4f16_1 1210*, q4f32_1 1682*, q4f16_1-1k 1210*, q4f32_1-1k 1682*
bert:
  snowflake-arctic-embed-m 512 q0f32-b32 1408, q0f32-b4 539
  snowflake-arctic-embed-s 512 q0f32-b32 1023, q0f32-b4 239
"""
SHORT_CONTEXT = 1024
LEAST_LETTERS = 4  # of a beginning that says what is meant


@dataclass(frozen=True)
class Prebuilt:
    """One of WebLLM's records.

    Attributes:
        id: WebLLM's name: "Llama-3.2-1B-Instruct-q4f16_1-MLC".
        repository: on the Hugging Face hub.
        family: mlc-chat-config.json's model_type.
        quantization: as MLC names it: "q4f16_1".
        memory: bytes of GPU memory, by WebLLM's count, with ``context``.
        context: tokens that WebLLM allows.
        low_resource: whether WebLLM recommends it for weak devices.
    """

    id: str
    repository: str
    family: str
    quantization: str
    memory: int
    context: int
    low_resource: bool


@cache
def prebuilt_models() -> Mapping[str, Prebuilt]:
    """All of them, by id."""
    return {record.id: record for record in _records()}


def near_prebuilt(text: str) -> list[str]:
    """Ids that may be meant by a text that is none: of the models whose names begin so, each in its
    smallest form, at most 3; else one that is spelled alike."""
    begun = _letters(text)
    smallest: dict[str, Prebuilt] = {}
    for record in sorted(prebuilt_models().values(), key=lambda record: record.memory):
        if len(begun) >= LEAST_LETTERS and _letters(record.id).startswith(begun):
            base = record.id.partition(f"-{record.quantization}")[0]
            smallest.setdefault(base, record)
    if smallest:
        return [record.id for record in smallest.values()][:3]
    import difflib  # not before it is needed: a page starts Python from a snapshot

    return difflib.get_close_matches(text[:80], prebuilt_models(), n=1, cutoff=0.8)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _records() -> Iterator[Prebuilt]:
    family = ""
    for line in TABLE.strip().splitlines():
        if not line.startswith(" "):
            family = line.removesuffix(":")
            continue
        base, context, quantizations = line.split(None, 2)
        for entry in quantizations.split(", "):
            label, megabytes = entry.split()
            quantization, _, suffix = label.partition("-")
            name = f"{base}-{quantization}-MLC"
            yield Prebuilt(
                id=f"{name}-{suffix}" if suffix else name,
                repository=f"mlc-ai/{name}",
                family=family,
                quantization=quantization,
                memory=int(megabytes.removesuffix("*")) << 20,
                context=SHORT_CONTEXT if suffix == "1k" else int(context),
                low_resource=megabytes.endswith("*"),
            )
