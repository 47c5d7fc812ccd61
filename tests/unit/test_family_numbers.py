"""Numbers that config.json leaves out are those of transformers' own config classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from webllm_py.checkpoint.checkpoint import FORMATS, Checkpoint, TensorInfo
from webllm_py.checkpoint.mlc_config import model_config
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.config import ModelConfig
from webllm_py.models.families import family_of
from webllm_py.models.family import config_of

DEFAULTS = json.loads((Path(__file__).parents[1] / "fixtures" / "defaults.json").read_text())
Kind: TypeAlias = Literal["gguf", "huggingface", "mlc"]
# Whose own defaults have Mamba layers.
SAID: dict[str, Any] = {"granitemoehybrid": {"layer_types": ["attention"] * 32}}
# Without these no default of another's is of use: an error says so.
SIZES = {
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "n_embd",
    "n_head",
    "n_layer",
}


GGUF_SIZES = {
    "embedding_length": 64,
    "feed_forward_length": 64,
    "block_count": 2,
    "attention.head_count": 2,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "context_length": 512,
}


def config_from(numbers: dict[str, Any], kind: Kind = "huggingface") -> ModelConfig:
    """Of a checkpoint that says no more than these."""
    tensor = TensorInfo("t", (8, 8), FORMATS["F32"], None, 0, 0)  # type: ignore[arg-type]
    tensors = {"token_embd.weight": tensor, **{str(i): tensor for i in range(99)}}
    name = numbers["model_type"]
    return config_of(Checkpoint(kind, "", name, numbers, tensors), tensors, family_of(name))


def gguf_config(name: str, **more: Any) -> ModelConfig:
    """Of a file that says no more than these."""
    said = {f"{name}.{key}": value for key, value in (GGUF_SIZES | more).items()}
    return config_from({"model_type": name, **said}, "gguf")


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_left_out(name: str) -> None:
    """One number after the other."""
    said = SAID.get(name, {})
    whole = DEFAULTS[name] | said
    expected = config_from(whole)
    for key in whole.keys() - said.keys() - {"model_type"}:
        rest = {other: value for other, value in whole.items() if other != key}
        try:
            assert config_from(rest) == expected, key
        except CorruptCheckpointError as error:
            assert key in SIZES and f"lacks {key}" in str(error)


@pytest.mark.parametrize("name", ["mistral", "exaone4", "olmo3"])
def test_no_window(name: str) -> None:
    """null says that there is none; the default is one."""
    assert window_of(DEFAULTS[name]) == 4096
    assert window_of(DEFAULTS[name] | {"sliding_window": None}) == 0


def window_of(numbers: dict[str, Any]) -> int:
    """The first layer's."""
    return config_from(numbers).kind(0).window


def test_no_window_of_mlc() -> None:
    """Whose folders say theirs elsewhere."""
    numbers = {name: n for name, n in DEFAULTS["mistral"].items() if name != "sliding_window"}
    config = {
        "model_type": "mistral",
        "model_config": numbers,
        "sliding_window_size": -1,
        "context_window_size": 32768,
    }
    assert config_from(model_config(config, "a folder"), "mlc").layer_kinds == ()


def test_no_softcaps() -> None:
    """Of Gemma 2, as some that were made of it have it; those of its first GGUF files go without
    saying."""
    none = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    config = config_from(DEFAULTS["gemma2"] | none)
    assert (config.attention_softcap, config.output_softcap) == (0, 0)
    for name, caps in {"gemma2": (50, 30), "gemma3": (0, 0)}.items():
        config = gguf_config(name)
        assert (config.attention_softcap, config.output_softcap) == caps


def test_windows_by_layer() -> None:
    """Of Qwen2, which config.json counts, or lists."""
    numbers = DEFAULTS["qwen2"] | {"num_hidden_layers": 3, "sliding_window": 24}
    numbers |= {"use_sliding_window": True, "max_window_layers": 1}
    counted = config_from(numbers).layer_kinds
    assert [kind.window for kind in counted] == [0, 24, 24]
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    listed = config_from(numbers | {"layer_types": types}).layer_kinds
    assert [kind.window for kind in listed] == [24, 0, 24]
    mixture = DEFAULTS["qwen3_moe"] | numbers | {"model_type": "qwen3_moe"}
    assert {kind.window for kind in config_from(mixture).layer_kinds} == {24}
    mixture = DEFAULTS["qwen2_moe"] | numbers | {"model_type": "qwen2_moe"}
    assert [kind.window for kind in config_from(mixture).layer_kinds] == [24, 0, 0]
    for said in (numbers, mixture):
        assert config_from(said | {"sliding_window": None}).kind(2).window == 0


def test_a_part_of_each_head() -> None:
    """Which transformers rotates in some families alone."""
    half = {"rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.5}}
    assert config_from(DEFAULTS["llama"] | half).rotary_dim == 128
    assert config_from(DEFAULTS["phi3"] | half).rotary_dim == 48


def test_clamped_projections() -> None:
    """OLMoE's, which llama.cpp's converter leaves out."""
    assert gguf_config("olmoe").qkv_clip == 0
    assert gguf_config("olmoe", **{"attention.clamp_kqv": 8.0}).qkv_clip == 8
    assert config_from(DEFAULTS["olmoe"] | {"clip_qkv": 8.0}).qkv_clip == 8


def test_llamas_with_experts() -> None:
    """GGUF has Mixtral as llama."""
    mixtral = gguf_config("llama", expert_count=8, expert_used_count=2)
    assert (mixtral.n_experts, mixtral.n_experts_used, mixtral.expert_size) == (8, 2, 64)
    assert gguf_config("llama", expert_count=0).n_experts == 0
    assert config_from(DEFAULTS["llama"] | {"num_local_experts": 8}).n_experts == 0


def test_shared_experts() -> None:
    """One of the others' width is one of them; GGUF's first files of Qwen2's do not say widths."""
    numbers = DEFAULTS["qwen2_moe"]
    wider = config_from(numbers)
    assert (wider.expert_size, wider.beside_size, wider.beside_weighted) == (1408, 5632, True)
    assert (wider.shared_expert, wider.experts_scored) == (False, 61)
    alike = config_from(numbers | {"shared_expert_intermediate_size": 1408})
    assert (alike.shared_expert, alike.beside_size, alike.experts_scored) == (True, 0, 61)
    first = gguf_config("qwen2moe", expert_count=60, expert_used_count=4)
    assert (first.expert_size, first.beside_size, first.experts_normalized) == (16, 64, False)
    numbers = DEFAULTS["qwen3_5_moe_text"]
    assert config_from(numbers).shared_expert
    wider = config_from(numbers | {"shared_expert_intermediate_size": 1024})
    assert (wider.shared_expert, wider.beside_size) == (False, 1024)


def test_granite_4() -> None:
    """With Mamba layers in it, or none, or experts."""
    numbers = DEFAULTS["granitemoehybrid"] | {"num_hidden_layers": 2}
    for types in ({}, {"layer_types": ["attention", "mamba"]}):
        with pytest.raises(UnsupportedModelError, match="Mamba layers are not run"):
            config_from(numbers | types)
    mixture = config_from(numbers | {"layer_types": ["attention"] * 2})
    assert (mixture.n_experts, mixture.expert_size, mixture.beside_size) == (8, 11008, 1024)
    said = {"layer_types": ["attention"] * 2, "num_local_experts": 0}
    dense = config_from(numbers | said)
    assert (dense.n_experts, dense.intermediate_size, dense.beside_size) == (0, 1024, 0)


def test_thetas_by_layer() -> None:
    """Of Granite with windows: no rotation, one, or two."""
    numbers = DEFAULTS["granite_swa"] | {"num_hidden_layers": 3}
    plain = config_from(numbers)
    assert [(kind.window, kind.rope) for kind in plain.layer_kinds] == [
        (0, "global"),
        (128, "global"),
        (128, "global"),
    ]
    two = config_from(numbers | {"layer_rope_theta": [0, 2e4, 3e4]})
    assert [kind.rope for kind in two.layer_kinds] == ["none", "global", "local"]
    assert (two.rope_theta, two.local_rope_theta) == (2e4, 3e4)
    none = gguf_config("granite_swa", **{"attention.rope_pattern": [0, 1]})
    assert [kind.rope for kind in none.layer_kinds] == ["none", "global"]
    with pytest.raises(UnsupportedModelError, match="rope_theta"):
        config_from(numbers | {"layer_rope_theta": [1e4, 2e4, 3e4]})


def test_dynamic_scaling() -> None:
    """Which begins where contexts end."""
    scaled = {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}}
    assert config_from(DEFAULTS["llama"] | scaled) == config_from(DEFAULTS["llama"])


@pytest.mark.parametrize(("said", "size"), [(6656, 4608), (10240, 6912), (12288, 8192)])
def test_first_files_of_lfm2(said: int, size: int) -> None:
    """Which count layers with attention, and call sizes otherwise: of 350M, 700M and 1.2B."""
    numbers = DEFAULTS["lfm2"] | {"num_hidden_layers": 4, "full_attn_idxs": [1, 3]}
    numbers |= {"intermediate_size": 99, "block_ff_dim": said}
    config = config_from(numbers)
    assert config.intermediate_size == size
    assert [kind.recurrent for kind in config.layer_kinds] == [True, False, True, False]
    del numbers["intermediate_size"]
    assert config_from(numbers) == config
    del numbers["full_attn_idxs"]
    assert not config_from(numbers).recurrent
    unscaled = numbers | {"block_ffn_dim_multiplier": None}
    assert config_from(unscaled).intermediate_size == 2 * said // 3
    whole = numbers | {"block_auto_adjust_ff_dim": False}
    assert config_from(whole).intermediate_size == said


def test_windows_of_lfm2() -> None:
    """Which GGUF's files say of all layers that have attention."""
    numbers = {
        "embedding_length": 64,
        "feed_forward_length": 64,
        "block_count": 3,
        "attention.head_count": 2,
        "attention.head_count_kv": [0, 1, 0],
        "attention.layer_norm_rms_epsilon": 1e-5,
        "context_length": 512,
        "shortconv.l_cache": 3,
    }
    for window in (0, 40):
        said = {f"lfm2.{key}": value for key, value in numbers.items()}
        said |= {"lfm2.attention.sliding_window": window} if window else {}
        config = config_from({"model_type": "lfm2", **said}, "gguf")
        kinds = [(kind.window, kind.recurrent) for kind in config.layer_kinds]
        assert kinds == [(0, True), (window, False), (0, True)]
        assert config.n_kv_heads == 1
