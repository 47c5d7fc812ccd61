"""Composing kernels, without a GPU: words, constants, bindings, and WebGPU's default limits."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from fake_device import FakeDevice
from unloaded_models import SHAPES, model_of

from webllm_py.checkpoint.checkpoint import FORMATS
from webllm_py.gpu.device import Dispatch, Limits
from webllm_py.gpu.kernels import Kernel, Shader, Variant, compose, kernel, kernels_folder
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.kv_cache import KV_FORMATS
from webllm_py.models.linear import DOT4_FORMATS, Linear
from webllm_py.models.step import PAGE, SLOTS
from webllm_py.models.tuning import Tuning, tuning_for
from webllm_py.models.weights import Matrix, Slice
from webllm_py.runtime.decoder import Decoder, Verifier
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.gemm_trial import GEMMS
from webllm_py.runtime.weights.loader import place_weights
from webllm_py.runtime.weights.progress import ProgressReporter
from webllm_py.runtime.weights.repacks import repacks
from webllm_py.runtime.weights.storage import slice_plans

VARIANTS = [Variant(f16, subgroups) for f16 in (False, True) for subgroups in (0, 4, 32)]
PICK = {"BLOCKS": 1}


def test_a_missing_word_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"nothing given for the word \$\{quant\}"):
        compose(kernel("embed", BLOCKS=1, SLICE=1, STEP_ROWS=4), Variant())


def test_a_word_with_a_slash_is_a_file() -> None:
    """A reader brings what it is made of along, and that what it needs."""
    sizes = {"UNITS": 32, "SLICE": 4, "STEP_ROWS": 4}
    text = compose(kernel("embed", snippets={"quant": "quant/q5_k"}, **sizes), Variant()).text
    assert "${" not in text
    for name in ("columns_in", "shifted_bits", "scales_of", "unit_columns", "row_unit"):
        assert text.count(f"fn {name}(") == 1


def test_an_unused_word_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"does not use \['quant'\]"):
        compose(kernel("pick_row", snippets={"quant": "quant/f32"}, **PICK), Variant())


def test_an_unknown_constant_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no constant \['WIDTH'\]"):
        compose(kernel("pick_row", WIDTH=3, **PICK), Variant())


def test_a_missing_constant_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no value for \['BLOCKS'\]"):
        compose(kernel("pick_row"), Variant())


def test_wrong_buffers_are_an_error() -> None:
    shader = compose(kernel("pick_row", **PICK), Variant())
    with pytest.raises(ValueError, match="binds"):
        shader.check_buffers("pick_row", {"x": None})


def test_enable_lines_follow_the_compiler() -> None:
    kern = kernel("pick_row", **PICK)
    assert "enable" not in compose(kern, Variant()).text.partition("override")[0]
    assert "enable f16;\nenable subgroups;" in compose(kern, Variant(True, 4)).text
    assert "enable subgroups" not in compose(kern, Variant(True, 4, False)).text


def test_every_kernel_file_has_a_header_and_at_most_one_entry_point() -> None:
    for path in kernels_folder().rglob("*.wgsl"):
        text = path.read_text("utf-8")
        entries = text.count("@compute")
        assert entries <= 1, path
        if entries:
            header = text.partition("${enables}")[0]
            assert "Bindings" in header and "Dispatch" in header, path


def rounding_of(executor: Executor, *, rows: int, fused: bool = False) -> list[Dispatch]:
    """The linear layers and experts of one row or a few, as they round them to 8 bits: one in every
    shape."""
    graph = executor.graph(rows, fused=fused)
    executor.model.forward(graph)
    executor.model.head(graph)
    target = executor.buffers.partial
    dispatches = []
    for linear in graph.linears:
        shapes = linear.shapes_rounding
        if rows == 1:
            dispatches += [linear.gemv(shape) for shape in shapes]
        elif shapes:
            dispatches += [linear.round_rows(rows, target), linear.gemv_rows_dot4(rows, target)]
    for experts in graph.expert_linears:
        dispatches += [experts.gemv(shape, rows) for shape in experts.shapes_rounding]
    return dispatches


async def kernels_of(shape: str, fmt: str, variant: Variant, *, is_cpu: bool) -> set[Kernel]:
    """Every kernel that loading and running the shape uses."""
    limits = Limits(max_buffer_size=1 << 34, max_storage_buffer_binding_size=1 << 34)
    device = FakeDevice(variant, limits, is_cpu=is_cpu)
    device.create_buffer = lambda label, size: FakeDevice.create_buffer(device, label, 16)  # type: ignore[method-assign]
    model = model_of(shape, fmt, biased=True)
    owner = BufferOwner(device)
    weights, _ = place_weights(device, owner, model, ProgressReporter(None))
    device.write = lambda *_: None  # type: ignore[method-assign]
    for kv_format in KV_FORMATS:
        executor = Executor(
            device,
            owner,
            model,
            weights,
            context_length=4096,
            rotations=model.rotations(4096),
            tuning=tuning_for(device),
            kv_format=kv_format,
        )
        await executor.prepare()
        for rows in (2, 16, 64, executor.chunk):
            for executor.gemm in GEMMS:
                await executor.forward_plan(rows)
                executor.plans.drop(executor)
        for fused in (False, True):
            await device.record("rounding", rounding_of(executor, rows=1, fused=fused))
        for rows in (2, 8):
            await device.record("rounding", rounding_of(executor, rows=rows))
        together = Decoder(executor, owner, SLOTS)
        await together.plan("first", SLOTS)
        await together.step(SLOTS, 4096)
        sequence = executor.cache.begin(range(PAGE + 1))
        sequence.tokens += range(PAGE + 1)
        await executor.cache.reserve(sequence, PAGE + 1)
        await executor.cache.fork(sequence, 1)
    used = {dispatch.kernel for dispatch in device.recorded}
    used |= {d.kernel for d in Verifier(executor.decoder, owner, SLOTS).dispatches()}
    for matrix in model.matrices():
        for plan in slice_plans(matrix, None, 1 << 34):
            used |= {made.kernel for part in plan.parts for made in repacks(matrix, plan, part)}
    return used


SIZES = {
    "f16": 2,
    "f32": 4,
    "u32": 4,
    "atomic<u32>": 4,
    "vec2<u32>": 8,
    "vec4<f32>": 16,
    "vec4<u32>": 16,
    "Best": 8,
    # of attention_prefill
    "Part": 8 * 16,
    # of gemm and gemm_dot4; 16 bytes more than their elements keep neighbours in different banks
    "InputTile": 33 * 16,
    "WeightTile": 17 * 16,
    "Tile": 9 * 16,
}
WORKGROUP = re.compile(r"var<workgroup>\s+\w+\s*:\s*(?:array<(.+?),\s*([^,>]+)>|([\w<>]+));")


def constants_of(shader: Shader) -> dict[str, int]:
    fixed = re.findall(r"(?:override|const) (\w+)(?:: u32)? = (\d+)u;", shader.text)
    defaults = dict(fixed)
    given = {name: value for name, value in shader.overrides.items() if value == int(value)}
    return {name: int(value) for name, value in {**defaults, **given}.items()}


def workgroup_bytes(shader: Shader, constants: Mapping[str, int]) -> int:
    total = 0
    for kind, length, single in WORKGROUP.findall(shader.text):
        expression = re.sub(r"(\d)u\b", r"\1", length or "1").replace("/", "//")
        count = eval(expression, {"__builtins__": {}}, dict(constants))
        total += -(-SIZES[kind or single] * count // 16) * 16
    return total


@pytest.mark.parametrize("is_cpu", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
async def test_every_kernel_stays_within_the_default_limits(
    shape: str, variant: Variant, is_cpu: bool
) -> None:
    """8 storage buffers, 16 KiB of workgroup memory, 256 invocations: WebGPU's own defaults."""
    limits = Limits()
    used = await kernels_of(shape, "F32", variant, is_cpu=is_cpu)
    for kern in used | await kernels_of(shape, "Q4_0", variant, is_cpu=is_cpu):
        shader = compose(kern, variant)
        constants = constants_of(shader)
        name = f"{kern.name} of {shape}"
        assert len(shader.bindings) <= limits.max_storage_buffers_per_shader_stage, name
        used = workgroup_bytes(shader, constants)
        assert used <= limits.max_compute_workgroup_storage_size, f"{name}: {used} bytes"
        threads = constants.get("THREADS", 64)
        assert threads <= limits.max_compute_invocations_per_workgroup, name


@pytest.mark.parametrize("fmt", FORMATS)
async def test_every_format_composes(fmt: str) -> None:
    used = await kernels_of("qwen2.5-0.5b", fmt, Variant(), is_cpu=False)
    for kern in used:
        assert len(compose(kern, Variant()).bindings) <= 8
    readers = {dict(kern.snippets).get("quant") for kern in used}
    in_8_bits = {f"dot4/{fmt.lower()}"} if fmt.lower() in DOT4_FORMATS else set()
    assert readers == {None, f"quant/{fmt.lower()}"} | in_8_bits


STORING = {"epilogue": "epilogue/store", "finish": "linear/finish"}


@pytest.mark.parametrize("fmt", DOT4_FORMATS)
def test_tiles_in_8_bits_stay_within_the_default_limits(fmt: str) -> None:
    """Of few rows, of a narrow matrix, of many rows of a wide one."""
    for rows, wide in ((32, 4096), (64, 256), (256, 4096), (1024, 16384)):
        matrix, part = Matrix("w", wide, 256, ()), Slice(fmt, 0, wide, {})
        words = {**STORING, "quant": f"dot4/{fmt}"}
        layer = Linear(matrix, part, {}, words, {"Y_STRIDE": wide}, Tuning(), 1 << 16)
        shader = compose(layer.gemm_dot4(rows, 1024).kernel, Variant())
        constants = constants_of(shader)
        assert workgroup_bytes(shader, constants) <= Limits().max_compute_workgroup_storage_size
        assert constants["THREADS"] <= Limits().max_compute_invocations_per_workgroup


def test_workgroup_memory_is_seen() -> None:
    """The check above can fail: it counts what a kernel really declares."""
    shader = compose(
        kernel(
            "gemm",
            snippets={**STORING, "quant": "quant/f32"},
            UNITS=4,
            N=64,
            SLICE=64,
            TM=64,
            TN=128,
            THREADS=128,
            PREFETCH=False,
            Y_STRIDE=64,
        ),
        Variant(),
    )
    assert workgroup_bytes(shader, constants_of(shader)) == (8 * 33 + 32 * 17) * 16
