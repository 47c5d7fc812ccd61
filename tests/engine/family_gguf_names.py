"""What llama.cpp's converter calls the tensors of the families' models."""

from __future__ import annotations

from made_models import GGUF_NAMES

__all__ = ["MORE_NAMES", "NAMES"]

# GGUF's tensor names (its specification, "Standardized tensor names").
NAMES = {
    **GGUF_NAMES,
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj_exps": "ffn_gate_exps",
    "mlp.up_proj_exps": "ffn_up_exps",
    "mlp.down_proj_exps": "ffn_down_exps",
}
BEHIND = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
LFM2 = {
    "model.embedding_norm": "token_embd_norm",
    "operator_norm": "attn_norm",
    "self_attn.q_layernorm": "attn_q_norm",
    "self_attn.k_layernorm": "attn_k_norm",
    "self_attn.out_proj": "attn_output",
    "conv.in_proj": "shortconv.in_proj",
    "conv.conv": "shortconv.conv",
    "conv.out_proj": "shortconv.out_proj",
    "ffn_norm": "ffn_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
}
SHARED = {
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
}
QWEN35 = {
    "post_attention_layernorm": "post_attention_norm",
    "linear_attn.in_proj_qkv": "attn_qkv",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
    "linear_attn.conv1d": "ssm_conv1d",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.out_proj": "ssm_out",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
}
MORE_NAMES = {
    "llama": {
        "block_sparse_moe.gate": "ffn_gate_inp",
        "block_sparse_moe.w1_exps": "ffn_gate_exps",
        "block_sparse_moe.w3_exps": "ffn_up_exps",
        "block_sparse_moe.w2_exps": "ffn_down_exps",
    },
    "gemma2": BEHIND,
    "gemma3": BEHIND,
    "olmo2": BEHIND,
    "exaone4": BEHIND,
    "phi2": {
        "model.final_layernorm": "output_norm",
        "self_attn.dense": "attn_output",
        "mlp.fc1": "ffn_up",
        "mlp.fc2": "ffn_down",
    },
    "gptneox": {
        "gpt_neox.embed_in": "token_embd",
        "gpt_neox.final_layer_norm": "output_norm",
        "embed_out": "output",
        "post_attention_layernorm": "ffn_norm",
        "attention.query_key_value": "attn_qkv",
        "attention.dense": "attn_output",
        "mlp.dense_h_to_4h": "ffn_up",
        "mlp.dense_4h_to_h": "ffn_down",
    },
    "gpt2": {
        "transformer.wte": "token_embd",
        "transformer.wpe": "position_embd",
        "transformer.ln_f": "output_norm",
        "ln_1": "attn_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    },
    "qwen2moe": SHARED,
    "qwen3moe": {"mlp.gate": "ffn_gate_inp"},
    "olmoe": {"mlp.gate": "ffn_gate_inp"},
    "granite": {
        "shared_mlp.gate": "ffn_gate",
        "shared_mlp.up": "ffn_up",
        "shared_mlp.output_linear": "ffn_down",
    },
    "granitemoe": {
        "block_sparse_moe.router.layer": "ffn_gate_inp",
        "block_sparse_moe.gate": "ffn_gate_exps",
        "block_sparse_moe.up": "ffn_up_exps",
        "block_sparse_moe.output_linear": "ffn_down_exps",
        "shared_mlp.gate": "ffn_gate_shexp",
        "shared_mlp.up": "ffn_up_shexp",
        "shared_mlp.output_linear": "ffn_down_shexp",
    },
    "granite_swa": {
        "self_attn.sinks": "attn_sinks",
        "block_sparse_moe.router": "ffn_gate_inp",
        "block_sparse_moe.experts.gate_up_proj": "ffn_gate_up_exps.weight",
        "block_sparse_moe.experts.down_proj": "ffn_down_exps.weight",
        "shared_mlp.input_linear": "ffn_up_shexp",
        "shared_mlp.output_linear": "ffn_down_shexp",
    },
    "lfm2": LFM2,
    "lfm2moe": {
        **LFM2,
        "feed_forward.gate": "ffn_gate_inp",
        "feed_forward.expert_bias": "exp_probs_b.bias",
        "feed_forward.w1_exps": "ffn_gate_exps",
        "feed_forward.w2_exps": "ffn_down_exps",
        "feed_forward.w3_exps": "ffn_up_exps",
    },
    "qwen35": QWEN35,
    "qwen35moe": {**QWEN35, **SHARED},
    "gpt-oss": {
        "mlp.router": "ffn_gate_inp",
        "post_attention_layernorm": "post_attention_norm",
        "self_attn.sinks": "attn_sinks",
        "mlp.gate_exps": "ffn_gate_exps",
        "mlp.up_exps": "ffn_up_exps",
        "mlp.down_exps": "ffn_down_exps",
    },
    "glm4": {
        "post_self_attn_layernorm": "post_attention_norm",
        "post_mlp_layernorm": "post_ffw_norm",
        "mlp.gate_up_proj": "ffn_up",
    },
    "starcoder2": {"mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"},
    "phi3": {"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"},
}
