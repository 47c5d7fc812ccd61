"""The ONNX model that transformers.js gets: the GGUF file's weights, a graph that is complete."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webllm_py.errors import RequestError
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools import onnx_weights  # noqa: E402
from demo.tools.onnx_export import check, export  # noqa: E402
from demo.tools.onnx_format import varint  # noqa: E402

# Element sizes by TensorProto.DataType.
SIZES = {1: 4, 2: 1, 6: 4, 7: 8, 10: 2}


def fields(message: bytes) -> dict[int, list[Any]]:
    """A message in Protocol Buffers' wire format, by field number."""
    found: dict[int, list[Any]] = defaultdict(list)
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        length = {0: 0, 2: None, 5: 4}[key & 7]
        if key & 7 == 0:
            found[key >> 3].append(number())
            continue
        length = number() if length is None else length
        found[key >> 3].append(message[at : at + length])
        at += length
    return found


class Model:
    """A written folder, read back."""

    def __init__(self, folder: Path, kind: str):
        self.folder = folder / "onnx"
        graph = fields(fields((self.folder / f"model_{kind}.onnx").read_bytes())[7][0])
        self.nodes = [fields(node) for node in graph[1]]
        self.inputs = [fields(one)[1][0].decode() for one in graph[11]]
        self.outputs = [fields(one)[1][0].decode() for one in graph[12]]
        self.constants = {one[8][0].decode(): one for one in map(fields, graph[5])}

    def shape(self, name: str) -> list[int]:
        packed, shape = (self.constants[name][1] or [b""])[0], []
        while packed:
            end = next(i for i, byte in enumerate(packed) if byte < 128) + 1
            shape.append(sum((byte & 127) << 7 * i for i, byte in enumerate(packed[:end])))
            packed = packed[end:]
        return shape

    def data(self, name: str) -> bytes:
        constant = self.constants[name]
        if 9 in constant:
            return bytes(constant[9][0])
        entries = [fields(entry) for entry in constant[13]]
        place = {entry[1][0].decode(): entry[2][0].decode() for entry in entries}
        offset, length = int(place["offset"]), int(place["length"])
        stored = (self.folder / place["location"]).read_bytes()[offset : offset + length]
        assert len(stored) == length and offset % onnx_weights.ALIGNMENT == 0
        return stored

    def weights(self, name: str, floats: str) -> np.ndarray[Any, Any]:
        """A matrix as MatMulNBits has it: codes 2i and 2i + 1 in a byte, minus 8, times a scale."""
        rows = self.shape(f"{name}.codes")[0]
        codes = np.frombuffer(self.data(f"{name}.codes"), np.uint8).reshape(rows, -1, 16)
        values = np.stack([codes & 15, codes >> 4], -1).reshape(rows, -1, 32) - 8.0
        scales = np.frombuffer(self.data(f"{name}.scales"), floats).reshape(rows, -1, 1)
        return (values * scales).reshape(rows, -1)


def gguf(folder: Path, shape: str, format: str = "q4_0") -> Path:
    path = folder / f"{shape}.gguf"
    write_random_model(path, f"{shape}, random", SHAPES[shape], format)
    return path


def values_of(path: Path, name: str) -> np.ndarray[Any, Any]:
    """A matrix in Q4_0 as ggml has it: code i and i + 16 in a byte, minus 8, times a scale."""
    import asyncio

    from demo.tools.onnx_export import opened

    info = asyncio.run(opened(path)).tensors[f"{name}.weight"]
    raw = path.read_bytes()[info.offset : info.offset + info.nbytes]
    blocks = np.frombuffer(raw, np.uint8).reshape(info.shape[0], -1, 18)
    scales = blocks[..., :2].copy().view("<f2").astype(float)
    codes = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], -1)
    return ((codes - 8.0) * scales).reshape(info.shape)


@pytest.mark.parametrize(("kind", "floats"), [("q4", "<f4"), ("q4f16", "<f2")])
@pytest.mark.parametrize("shape", ["tiny", "pocket"])
def test_the_same_weights(
    shape: str, kind: str, floats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_weights, "FILE_BYTES", 1 << 18)
    path, folder = gguf(tmp_path, shape), tmp_path / "made"
    export(path, folder, kind)
    model = Model(folder, kind)
    config = json.loads((folder / "config.json").read_text())
    files = config["transformers.js_config"]["use_external_data_format"][f"model_{kind}.onnx"]
    assert files == len([*(folder / "onnx").glob("*.onnx_data*")]) > 1
    for name, constant in model.constants.items():
        size = SIZES[constant[2][0]] * math.prod(model.shape(name))
        assert len(model.data(name)) == size, name
    assert (model.weights("token_embd", floats) == values_of(path, "token_embd")).all()
    assert model.data("output.codes") == model.data("token_embd.codes")
    down = model.weights("blk.1.ffn_down", floats)
    assert (down == values_of(path, "blk.1.ffn_down")).all()
    qkv = model.weights("blk.1.attn_q", floats)
    parts = [values_of(path, f"blk.1.attn_{part}") for part in "qkv"]
    if SHAPES[shape].architecture == "llama":  # a pair's halves lie beside each other in GGUF
        dim = SHAPES[shape].head_dim
        order = [*range(0, dim, 2), *range(1, dim, 2)]
        turned = [part.reshape(-1, dim, part.shape[1])[:, order] for part in parts[:2]]
        parts[:2] = [part.reshape(-1, part.shape[-1]) for part in turned]
    assert (qkv == np.concatenate(parts)).all()


def test_the_graph_can_be_computed_in_its_order(tmp_path: Path) -> None:
    export(gguf(tmp_path, "tiny"), tmp_path / "made", "q4")
    model = Model(tmp_path / "made", "q4")
    known = {*model.inputs, *model.constants}
    assert len(known) == len(model.inputs) + len(model.constants)
    for node in model.nodes:
        assert {name.decode() for name in node[1]} - {""} <= known
        made = {name.decode() for name in node[2]} - {""}
        assert not made & known
        known |= made
    assert set(model.outputs) <= known
    kinds = [node[4][0].decode() for node in model.nodes]
    assert kinds.count("GroupQueryAttention") == SHAPES["tiny"].layers
    # Four matrices a layer, one of them for q, k and v, and the output layer.
    assert kinds.count("MatMulNBits") == 5 * SHAPES["tiny"].layers + 1


def test_a_folder_is_made_once_of_each_file(tmp_path: Path) -> None:
    path, folder = gguf(tmp_path, "tiny"), tmp_path / "made"
    export(path, folder, "q4")
    (folder / "kept").touch()
    export(path, folder, "q4")
    assert (folder / "kept").exists()
    path.write_bytes(path.read_bytes() + b"more")
    export(path, folder, "q4")
    assert not (folder / "kept").exists()


def test_models_that_cannot_be_said_so(tmp_path: Path) -> None:
    check(gguf(tmp_path, "tiny"))
    with pytest.raises(RequestError, match="--format q4_0"):
        check(gguf(tmp_path, "tiny", "q8_0"))


def test_whole_numbers() -> None:
    # The examples of Protocol Buffers' own description of its encoding.
    assert varint(150) == b"\x96\x01"
    assert varint(-2) == b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
