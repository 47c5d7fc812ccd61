"""A small model of each family, as transformers would save it, with weights out of a formula.

The fixture of a family holds what transformers wrote (config.json, and the names and shapes of the
tensors) and the logits it computed; ``tests/fixtures/make_fixtures.py families`` makes it.
"""

from __future__ import annotations

from made_families import UNEVEN, YARN, FamilyModel
from mixture_models import MIXTURES

__all__ = ["FAMILY_MODELS", "LAST", "LONG_MODELS"]

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0}
PHI = {"num_attention_heads": 3, "num_key_value_heads": 3, "hidden_size": 96}
PARTIAL = {"hidden_size": 128, "num_key_value_heads": 4, "partial_rotary_factor": 0.5}
FACTORS = [1.0 + 0.1 * i for i in range(16)]

FAMILY_MODELS = {
    model.name: model
    for model in (
        FamilyModel("mistral", "mistral", {"sliding_window": 40}, gguf="llama"),
        FamilyModel(
            "ministral3",
            "ministral3",
            {
                "head_dim": 32,
                "rope_parameters": {
                    **YARN,
                    "mscale": 1.0,
                    "mscale_all_dim": 1.0,
                    "llama_4_scaling_beta": 0.1,
                },
            },
            gguf="mistral3",
        ),
        FamilyModel("smollm3", "smollm3", {"num_hidden_layers": 8}, gguf="smollm3"),
        FamilyModel(
            "qwen2-window",
            "qwen2",
            {
                "use_sliding_window": True,
                "sliding_window": 24,
                "max_window_layers": 2,
                "num_hidden_layers": 4,
            },
        ),
        FamilyModel("qwen2-yarn", "qwen2", {"rope_parameters": YARN}, gguf="qwen2"),
        FamilyModel("qwen3", "qwen3", {"head_dim": 40, "tie_word_embeddings": True}, gguf="qwen3"),
        FamilyModel(
            "qwen3.5",
            "qwen3_5_text",
            {
                "head_dim": 32,
                "num_hidden_layers": 8,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 32,
                "linear_value_head_dim": 16,
                "tie_word_embeddings": True,
            },
            gguf="qwen35",
            centered=True,
        ),
        FamilyModel(
            "lfm2",
            "lfm2",
            {
                "num_hidden_layers": 5,
                "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"],
                "intermediate_size": 150,
                "block_multiple_of": 32,
                "block_ffn_dim_multiplier": 1.1,
            },
            gguf="lfm2",
        ),
        # No whole blocks, and wider convolutions.
        FamilyModel(
            "lfm2-uneven",
            "lfm2",
            {
                "hidden_size": 72,
                "intermediate_size": 100,
                "num_hidden_layers": 3,
                "num_attention_heads": 3,
                "num_key_value_heads": 1,
                "full_attn_idxs": [1],
                "conv_L_cache": 5,
                "block_auto_adjust_ff_dim": False,
            },
        ),
        FamilyModel("gemma", "gemma", {"head_dim": 32}, gguf="gemma", centered=True),
        FamilyModel(
            "gemma2",
            "gemma2",
            {
                **UNEVEN,
                "head_dim": 256,
                "num_hidden_layers": 4,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "sliding_window": 33,
                "query_pre_attn_scalar": 256,
                "attn_logit_softcapping": 3.0,
                "final_logit_softcapping": 2.0,
            },
            gguf="gemma2",
            centered=True,
        ),
        # Scores that GGUF would take for others: those of the largest models of the series.
        FamilyModel(
            "gemma2-27b",
            "gemma2",
            {"head_dim": 32, "query_pre_attn_scalar": 24, "sliding_window": 33},
            centered=True,
        ),
        FamilyModel(
            "gemma3-27b",
            "gemma3_text",
            {
                "head_dim": 32,
                "query_pre_attn_scalar": 24,
                "sliding_window": 33,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            centered=True,
        ),
        FamilyModel(
            "gemma3",
            "gemma3_text",
            {
                "head_dim": 64,
                "num_hidden_layers": 12,
                "sliding_window": 40,
                "query_pre_attn_scalar": 64,
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                },
            },
            gguf="gemma3",
            centered=True,
        ),
        # Its context is loaded within the original one, so that the short factors apply.
        FamilyModel(
            "phi3",
            "phi3",
            {
                **PHI,
                "sliding_window": 60,
                "original_max_position_embeddings": 256,
                "rope_parameters": {
                    **LONGROPE,
                    "short_factor": FACTORS,
                    "long_factor": FACTORS[::-1],
                },
            },
            gguf="phi3",
            context=200,
        ),
        FamilyModel(
            "phi4-mini",
            "phi3",
            {
                **PHI,
                "num_key_value_heads": 1,
                "tie_word_embeddings": True,
                "partial_rotary_factor": 0.75,
                "original_max_position_embeddings": 32,
                "rope_parameters": {
                    **LONGROPE,
                    "partial_rotary_factor": 0.75,
                    "short_factor": FACTORS[:12],
                    "long_factor": FACTORS[:3:-1],
                },
            },
            gguf="phi3",
            prompts=(150, 45, 33),
        ),
        FamilyModel("olmo2", "olmo2", gguf="olmo2"),
        FamilyModel(
            "olmo3",
            "olmo3",
            {
                "num_hidden_layers": 8,
                "sliding_window": 40,
                "rope_parameters": {
                    "full_attention": {**YARN, "attention_factor": 1.2},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                },
            },
            gguf="olmo2",
        ),
        FamilyModel(
            "granite",
            "granite",
            {
                "embedding_multiplier": 3.0,
                "residual_multiplier": 0.4,
                "attention_multiplier": 0.15,
                "logits_scaling": 2.0,
            },
            gguf="granite",
        ),
        FamilyModel(
            "granite4",
            "granitemoehybrid",
            {
                "layer_types": ["full_attention"] * 2,
                "position_embedding_type": "rope",
                "num_local_experts": 0,
                "shared_intermediate_size": 128,
                "mamba_n_heads": 4,
                "residual_multiplier": 0.4,
                "attention_multiplier": 0.15,
            },
            gguf="granite",
        ),
        FamilyModel(
            "granite-swa",
            "granite_swa",
            {
                "embedding_multiplier": 3.0,
                "residual_multiplier": 0.4,
                "attention_multiplier": 0.15,
                "num_hidden_layers": 4,
                "sliding_window": 40,
                "layer_rope_theta": [0, 1e4, 0, 1e4],
                "tie_word_embeddings": False,
            },
            gguf="granite_swa",
        ),
        # Two ways to rotate, which GGUF cannot say.
        FamilyModel(
            "granite-swa-thetas",
            "granite_swa",
            {
                "attention_multiplier": 0.15,
                "num_hidden_layers": 3,
                "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
                "sliding_window": 40,
                "layer_rope_theta": [5e3, 2e4, 0],
                "tie_word_embeddings": False,
            },
        ),
        FamilyModel("glm4", "glm4", {"head_dim": 32}, gguf="glm4"),
        FamilyModel("starcoder2", "starcoder2", gguf="starcoder2"),
        FamilyModel("starcoder2-window", "starcoder2", {"sliding_window": 40}),
        FamilyModel("cohere", "cohere", {"logit_scale": 2.0}, gguf="command-r"),
        FamilyModel("command-r-plus", "cohere", {"use_qk_norm": True, "logit_scale": 1.5}),
        FamilyModel(
            "exaone4",
            "exaone4",
            {
                "head_dim": 32,
                "sliding_window": None,
                "layer_types": ["full_attention"] * 2,
                "rope_parameters": LLAMA3,
            },
            gguf="exaone4",
        ),
        FamilyModel(
            "exaone4-32b",
            "exaone4",
            {
                "head_dim": 32,
                "num_hidden_layers": 8,
                "sliding_window": 40,
                "rope_parameters": LLAMA3,
            },
            gguf="exaone4",
        ),
        FamilyModel(
            "ernie4_5",
            "ernie4_5",
            {
                "head_dim": 40,
                "use_bias": True,
                "rope_parameters": {**YARN, "attention_factor": 1.1},
            },
            gguf="ernie4_5",
        ),
        FamilyModel(
            "cohere2",
            "cohere2",
            {"logit_scale": 0.5, "num_hidden_layers": 8, "sliding_window": 40},
            gguf="cohere2",
        ),
        FamilyModel("stablelm", "stablelm", {"use_qkv_bias": True, **PARTIAL}, gguf="stablelm"),
        FamilyModel(
            "stablelm-12b",
            "stablelm",
            {
                **PARTIAL,
                "num_key_value_heads": 2,
                "qk_layernorm": True,
                "use_parallel_residual": True,
            },
            gguf="stablelm",
        ),
        FamilyModel(
            "phi",
            "phi",
            {**UNEVEN, "num_attention_heads": 3, "num_key_value_heads": 3, "hidden_size": 72},
            gguf="phi2",
        ),
        FamilyModel("gpt-neox", "gpt_neox", PARTIAL, gguf="gptneox"),
        FamilyModel(
            "redpajama", "gpt_neox", {"use_parallel_residual": False, **PARTIAL}, gguf="gptneox"
        ),
        FamilyModel("gpt2", "gpt2", {"n_inner": 128, "num_key_value_heads": 4}, gguf="gpt2"),
        *MIXTURES,
    )
}

LAST = 8
"""Positions at the end of a long text whose logits are kept."""
LONG = {"hidden_size": 64, "num_attention_heads": 2, "max_position_embeddings": 8192}
LONG_MODELS = {
    model.name: model
    for model in (
        FamilyModel(
            "mistral-long",
            "mistral",
            {**LONG, "num_key_value_heads": 1, "head_dim": 32, "sliding_window": 1000},
            prompts=(4159,),
        ),
        FamilyModel(
            "gemma3-long",
            "gemma3_text",
            {
                **LONG,
                "num_key_value_heads": 1,
                "head_dim": 32,
                "layer_types": ["sliding_attention", "full_attention"],
                "sliding_window": 700,
                "query_pre_attn_scalar": 32,
            },
            prompts=(4229,),
            centered=True,
        ),
    )
}
