"""The kernels of text encoders in real shapes, without a GPU: their limits, and their memory."""

from __future__ import annotations

import pytest
from fake_device import FakeDevice
from test_kernels import VARIANTS, constants_of, workgroup_bytes

from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.gpu.device import Limits
from webllm_py.gpu.kernels import Variant, compose
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.bert import Bert
from webllm_py.models.bert_config import BertConfig
from webllm_py.models.encoder import EncoderGraph, PackedTexts
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.embedding.embedder import Embedder
from webllm_py.runtime.memory import SizingDevice, plan_encoder_memory
from webllm_py.runtime.weights.loader import place_weights
from webllm_py.runtime.weights.progress import ProgressReporter
from webllm_py.runtime.weights.storage import slice_plans

# hidden, intermediate, heads, positions, vocabulary
SHAPES = {
    "all-minilm-l6": (384, 1536, 12, 512, 30522),
    "bge-large": (1024, 4096, 16, 512, 30522),
    "bge-m3": (1024, 4096, 16, 8192, 250002),
    "heads of 128": (256, 512, 2, 64, 100),
}


def encoder(shape: str, fmt: str = "F32") -> Bert:
    """One layer of a named shape; tensors without bytes."""
    hidden, inner, heads, positions, vocab = SHAPES[shape]
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocab, hidden),
        "position_embd.weight": (positions, hidden),
        "token_types.weight": (2, hidden),
        "blk.0.attn_output.weight": (hidden, hidden),
        "blk.0.attn_output.bias": (hidden,),
        "blk.0.ffn_up.weight": (inner, hidden),
        "blk.0.ffn_up.bias": (inner,),
        "blk.0.ffn_down.weight": (hidden, inner),
        "blk.0.ffn_down.bias": (hidden,),
    }
    for part in "qkv":
        shapes[f"blk.0.attn_{part}.weight"] = (hidden, hidden)
        shapes[f"blk.0.attn_{part}.bias"] = (hidden,)
    for norm in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        shapes |= {f"{norm}.{kind}": (hidden,) for kind in ("weight", "bias")}
    tensors = {
        name: TensorInfo(name, dims, FORMATS[fmt if len(dims) == 2 else "F32"], None, 0, 0)  # type: ignore[arg-type]
        for name, dims in shapes.items()
    }
    return Bert(BertConfig("bert", vocab, hidden, inner, 1, heads, positions, 2, 1e-12), tensors)


@pytest.mark.parametrize("is_cpu", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_kernel_stays_within_the_default_limits(
    shape: str, variant: Variant, is_cpu: bool
) -> None:
    limits = Limits(max_buffer_size=1 << 34, max_storage_buffer_binding_size=1 << 34)
    device = FakeDevice(variant, limits, is_cpu=is_cpu)
    device.create_buffer = lambda label, size: FakeDevice.create_buffer(device, label, 16)  # type: ignore[method-assign]
    model, owner = encoder(shape), BufferOwner(device)
    weights, _ = place_weights(device, owner, model, ProgressReporter(None))
    embedder = Embedder(
        device, owner, model, weights, context_length=512, tuning=tuning_for(device)
    )
    for rows in (embedder.bucket(10), embedder.max_rows):
        graph = EncoderGraph(
            rows,
            config=model.config,
            weights=weights,
            buffers=embedder.buffers,
            device=device,
            tuning=embedder.tuning,
        )
        model.forward(graph)
        assert len({dispatch.kernel.name for dispatch in graph.dispatches}) == 5
        for dispatch in graph.dispatches:
            shader = compose(dispatch.kernel, variant)
            constants = constants_of(shader)
            assert len(shader.bindings) <= Limits().max_storage_buffers_per_shader_stage
            used = workgroup_bytes(shader, constants)
            assert used <= Limits().max_compute_workgroup_storage_size, dispatch.kernel.name
            threads = constants.get("THREADS", 64)
            assert threads <= Limits().max_compute_invocations_per_workgroup
            most = Limits().max_compute_workgroups_per_dimension
            assert all(0 < count <= most for count in dispatch.groups), dispatch.kernel.name


def test_the_memory_by_hand() -> None:
    plan = plan_encoder_memory(encoder("all-minilm-l6"), SizingDevice(), context_length=100)
    hidden, inner, _, positions, vocab = SHAPES["all-minilm-l6"]
    matrices = hidden * (vocab + 2 + positions + 4 + 4 * hidden + 2 * inner)  # rows lie in quads
    biases, norms = 5 * hidden + inner, 3 * 2 * hidden
    assert plan.weights == 4 * (matrices + biases + norms)
    assert plan.context_length == 100
    # 1,024 rows: of hidden twice, and of q, k and v or the inner layer
    assert plan.work == pytest.approx(4 * 1024 * (2 * hidden + inner), rel=0.1)
    assert plan.loaded == plan.whole == plan.weights + plan.work
    long = plan_encoder_memory(encoder("bge-m3"), SizingDevice(Limits(1 << 34, 1 << 34)))
    assert long.context_length == 8192
    assert long.most_work == pytest.approx(8 * long.work, rel=0.01)


def test_small_tables_are_not_quantized() -> None:
    formats = {
        matrix.name: slice_plans(matrix, "q4", 1 << 30)[0].format
        for matrix in encoder("all-minilm-l6").matrices()
    }
    assert formats["position_embd"] == formats["token_types"] == "f32"
    assert (formats["token_embd"], formats["blk.0.qkv"]) == ("q8_0", "q4_0")


def test_texts_one_behind_the_other() -> None:
    config = BertConfig("bert", 100, 64, 64, 1, 2, 40, 1, 1e-12, 2, "last")
    packed = PackedTexts([[7, 8, 9], [5] * 18], config)
    words = memoryview(packed.rows).cast("I").tolist()
    assert words[:12] == [21, 0, 0, 0, 7, 2, 0, 0, 8, 3, 0, 0]
    assert words[-4:] == [5, 19, 0, 0]
    tiles = memoryview(packed.tiles(5)).cast("I").tolist()
    assert tiles == [0, 3, 0, 3, 3, 19, 3, 21, 19, 21, 3, 21, *[0] * 8]
    assert memoryview(packed.pooled(3)).cast("I").tolist() == [2, 3, 20, 21, 0, 0]
