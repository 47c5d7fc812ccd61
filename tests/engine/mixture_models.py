"""Small models of the families that are mixtures of experts; see family_models.py."""

from __future__ import annotations

from made_families import UNEVEN, YARN, FamilyModel

__all__ = ["MIXTURES", "MIXTURE_IN_BLOCKS"]

GRANITE = {"residual_multiplier": 0.4, "attention_multiplier": 0.15}
SEVEN = {"num_experts": 7, "num_experts_per_tok": 3, "intermediate_size": 44}

# Whole blocks in every matrix: for what rounds, with whole rows of logits.
MIXTURE_IN_BLOCKS = FamilyModel(
    "mixture-in-blocks",
    "qwen2_moe",
    {
        "num_hidden_layers": 3,
        "num_experts": 6,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 128,
    },
)
MIXTURES = (
    FamilyModel(
        "mixtral",
        "mixtral",
        {
            "num_local_experts": 5,
            "num_experts_per_tok": 2,
            "intermediate_size": 44,
            "sliding_window": 40,
        },
        gguf="llama",
    ),
    # Its shared expert is wider than the others.
    FamilyModel(
        "qwen2-moe",
        "qwen2_moe",
        {
            "num_experts": 7,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 44,
            "shared_expert_intermediate_size": 100,
        },
        gguf="qwen2moe",
    ),
    # Experts, and windows, in two of four layers; the shared one is as wide as the others.
    FamilyModel(
        "qwen2-moe-layers",
        "qwen2_moe",
        {
            "num_hidden_layers": 4,
            "mlp_only_layers": [0],
            "decoder_sparse_step": 2,
            "use_sliding_window": True,
            "sliding_window": 40,
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 44,
            "shared_expert_intermediate_size": 44,
            "norm_topk_prob": True,
        },
    ),
    FamilyModel(
        "qwen3-moe",
        "qwen3_moe",
        {
            "head_dim": 40,
            "num_experts": 7,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 44,
            "norm_topk_prob": True,
        },
        gguf="qwen3moe",
    ),
    FamilyModel(
        "qwen3.5-moe",
        "qwen3_5_moe_text",
        {
            "head_dim": 32,
            "num_hidden_layers": 4,
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 32,
            "linear_value_head_dim": 16,
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 44,
            "shared_expert_intermediate_size": 44,
        },
        gguf="qwen35moe",
        centered=True,
    ),
    FamilyModel(
        "lfm2-moe",
        "lfm2_moe",
        {
            "num_hidden_layers": 4,
            "layer_types": ["conv", "full_attention", "conv", "full_attention"],
            "num_dense_layers": 1,
            "num_experts": 7,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 44,
        },
        gguf="lfm2moe",
    ),
    FamilyModel(
        "gpt-oss",
        "gpt_oss",
        {
            **UNEVEN,
            "head_dim": 32,
            "intermediate_size": 44,
            "num_hidden_layers": 4,
            "num_local_experts": 6,
            "num_experts_per_tok": 2,
            "sliding_window": 40,
            "rope_parameters": {**YARN, "truncate": False},
        },
        gguf="gpt-oss",
    ),
    FamilyModel("olmoe", "olmoe", SEVEN, gguf="olmoe"),
    # GGUF's files do not say either.
    FamilyModel("olmoe-clipped", "olmoe", {**SEVEN, "clip_qkv": 0.8, "norm_topk_prob": True}),
    FamilyModel(
        "granite-moe",
        "granitemoe",
        {
            "embedding_multiplier": 3.0,
            **GRANITE,
            "logits_scaling": 2.0,
            "num_local_experts": 7,
            "num_experts_per_tok": 3,
            "intermediate_size": 44,
        },
        gguf="granitemoe",
    ),
    # Its shared expert is wider than those that are chosen.
    FamilyModel(
        "granite-moe-shared",
        "granitemoeshared",
        {
            **GRANITE,
            "num_local_experts": 6,
            "num_experts_per_tok": 2,
            "intermediate_size": 44,
            "shared_intermediate_size": 100,
        },
        gguf="granitemoe",
    ),
    FamilyModel(
        "granite4-moe",
        "granitemoehybrid",
        {
            **GRANITE,
            "layer_types": ["full_attention"] * 2,
            "num_local_experts": 6,
            "num_experts_per_tok": 2,
            "intermediate_size": 44,
            "shared_intermediate_size": 100,
            "mamba_n_heads": 4,
        },
    ),
    FamilyModel(
        "granite-moe-swa",
        "granitemoe_swa",
        {
            **GRANITE,
            "sliding_window": 40,
            "num_local_experts": 6,
            "num_experts_per_tok": 2,
            "intermediate_size": 44,
            "shared_intermediate_size": 100,
        },
        gguf="granite_swa",
    ),
)
