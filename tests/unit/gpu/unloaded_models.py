"""Models of one layer in named shapes, without weights."""

from __future__ import annotations

from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.gpu import Device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.config import ModelConfig
from webllm_py.models.transformer import Transformer
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.weights.loader import place_weights
from webllm_py.runtime.weights.progress import ProgressReporter

__all__ = ["SHAPES", "executor_on", "model_of"]

SHAPES = {
    "stories260K": (512, 64, 172, 8, 4, 8),
    "qwen2.5-0.5b": (151936, 896, 4864, 14, 2, 64),
    "gpt-neo-like": (50257, 2560, 10240, 32, 32, 80),
    "phi-like": (32064, 3072, 8192, 32, 32, 96),
    "llama-3.1-8b": (128256, 4096, 14336, 32, 8, 128),
    "gemma-like": (256000, 2048, 16384, 8, 1, 256),
}


def model_of(shape: str, fmt: str, *, biased: bool) -> Transformer:
    """One layer of a named shape; tensors without bytes."""
    vocab, hidden, ffn, heads, kv_heads, head_dim = SHAPES[shape]
    config = ModelConfig(
        "llama",
        vocab,
        hidden,
        ffn,
        1,
        heads,
        kv_heads,
        head_dim,
        head_dim,
        1e-5,
        4096,
        1e4,
        None,
        False,
    )
    q, kv = heads * head_dim, kv_heads * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocab, hidden),
        "output_norm.weight": (hidden,),
        "blk.0.attn_norm.weight": (hidden,),
        "blk.0.ffn_norm.weight": (hidden,),
        "blk.0.attn_q.weight": (q, hidden),
        "blk.0.attn_k.weight": (kv, hidden),
        "blk.0.attn_v.weight": (kv, hidden),
        "blk.0.attn_output.weight": (hidden, q),
        "blk.0.ffn_gate.weight": (ffn, hidden),
        "blk.0.ffn_up.weight": (ffn, hidden),
        "blk.0.ffn_down.weight": (hidden, ffn),
    }
    if biased:
        shapes |= {f"blk.0.attn_{n}.bias": (w,) for n, w in (("q", q), ("k", kv), ("v", kv))}
    tensors = {
        name: TensorInfo(name, dims, FORMATS[fmt if len(dims) == 2 else "F32"], None, 0, 0)  # type: ignore[arg-type]
        for name, dims in shapes.items()
    }
    return Transformer(config, tensors)


async def executor_on(device: Device) -> Executor:
    """A small model's, not prepared yet."""
    model = model_of("stories260K", "F32", biased=False)
    owner = BufferOwner(device)
    weights, _ = place_weights(device, owner, model, ProgressReporter(None))
    return Executor(
        device,
        owner,
        model,
        weights,
        context_length=512,
        rotations=model.rotations(4096),
        tuning=tuning_for(device),
    )
