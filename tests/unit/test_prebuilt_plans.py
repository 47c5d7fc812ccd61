"""Memory of WebLLM's prebuilt models, planned from the package's own table of sizes."""

from __future__ import annotations

import pytest

from webllm_py.fetch.prebuilt import Prebuilt, prebuilt_models
from webllm_py.models import ENCODERS, model_for
from webllm_py.models.bert import encoder_for
from webllm_py.models.prebuilt import imagined
from webllm_py.runtime.memory import SizingDevice, plan_encoder_memory, plan_memory

# Millions of parameters, as the models' cards have them.
PARAMETERS = {
    "Llama-3.2-1B-Instruct-q4f16_1-MLC": 1236,
    "Llama-3.1-8B-Instruct-q4f32_1-MLC": 8030,
    "Llama-3.1-70B-Instruct-q3f16_1-MLC": 70554,
    "SmolLM2-135M-Instruct-q0f16-MLC": 135,
    "Qwen2.5-0.5B-Instruct-q0f32-MLC": 494,
    "Qwen3-4B-q4f16_1-MLC": 4022,
    "Qwen3.5-0.8B-q4f16_1-MLC": 752,
    "Qwen3.5-2B-q4f16_1-MLC": 1882,
    "Qwen3.5-4B-q4f32_1-MLC": 4206,
    "Qwen3.5-9B-q4f16_1-MLC": 8954,
    "Mistral-7B-Instruct-v0.3-q4f16_1-MLC": 7248,
    "Phi-3.5-mini-instruct-q4f16_1-MLC": 3821,
    "Phi-3.5-vision-instruct-q4f16_1-MLC": 4134,
    "Phi-4-mini-instruct-q4f16_1-MLC": 3836,
    "phi-2-q4f16_1-MLC": 2780,
    "gemma-2-9b-it-q4f16_1-MLC": 9242,
    "gemma3-1b-it-q4f16_1-MLC": 1000,
    "OLMo-2-0425-1B-Instruct-q4f16_1-MLC": 1485,
    "stablelm-2-zephyr-1_6b-q4f16_1-MLC": 1645,
    "RedPajama-INCITE-Chat-3B-v1-q4f16_1-MLC": 2776,
    "snowflake-arctic-embed-s-q0f32-MLC-b4": 33,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes(name: str) -> None:
    checkpoint = imagined(prebuilt_models()[name])
    assert checkpoint is not None
    encodes = checkpoint.architecture in ENCODERS
    model = encoder_for(checkpoint) if encodes else model_for(checkpoint)
    assert round(model.n_parameters / 1e6) == PARAMETERS[name]


def planned(record: Prebuilt) -> int:
    """Bytes with a conversation of WebLLM's context."""
    checkpoint = imagined(record)
    assert checkpoint is not None, record.id
    if checkpoint.architecture in ENCODERS:
        return plan_encoder_memory(encoder_for(checkpoint), SizingDevice()).whole
    return plan_memory(model_for(checkpoint), SizingDevice()).whole


def test_every_model_is_planned(long: bool) -> None:
    """In no more memory than WebLLM counts, but for some percent; its count of caches varies."""
    records = prebuilt_models().values()
    one_of_each = {record.id.partition("-q")[0]: record for record in records}
    for record in records if long else one_of_each.values():
        # It pads 32 texts at a time, and we none.
        least = 0.05 if record.id.endswith("-b32") else 0.15
        assert least * record.memory < planned(record) < 1.15 * record.memory, record.id
