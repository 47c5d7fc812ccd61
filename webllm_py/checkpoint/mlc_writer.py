"""Writes MLC folders from float weights: for tests, and for a model of one's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webllm_py.checkpoint.mlc import CODES, INDEXES, MLC_CONFIG, SCALES
from webllm_py.checkpoint.mlc_format import QUANTIZATIONS

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MLCWriter", "quantize_groups"]

SHARD_BYTES = 32 << 20
ALONE_BYTES = 16 << 20  # a tensor as large as that which does not fit gets a shard of its own
TABLES = ("embed_tokens", "lm_head")
SIZES = {4: 32, 3: 40}  # columns of a group, by bits of a code
ROUND_TO = {"f16": "float16", "f32": "float32", "bf16": "bfloat16"}


class MLCWriter:
    """Collects tensors under mlc_llm's names, and writes a folder.

    ::

        writer = MLCWriter("q4f16_1", {"model_type": "llama", "model_config": {...}, ...})
        for name, weight in weights.items():
            writer.add(name, weight)
        writer.write("folder")   # which then needs tokenizer.json

    Args:
        quantization: one of ``mlc_format.QUANTIZATIONS``: of matrices, but for q4f16_2's embedding
            and output. Vectors become float16, or what float32 keeps of them in bfloat16.
        config: the other fields of mlc-chat-config.json.
        raw: keep all of float32, for q0f32: mlc_llm's own files do not.
    """

    def __init__(self, quantization: str, config: Mapping[str, Any], *, raw: bool = False):
        if quantization not in QUANTIZATIONS:
            raise ValueError(
                f"quantization must be one of {', '.join(QUANTIZATIONS)}, not {quantization!r}"
            )
        if raw and quantization != "q0f32":
            raise ValueError(f"{quantization} has no float32 to keep raw")
        self._raw = raw
        self._label = quantization
        self._config = config
        self._floats = ROUND_TO[quantization[2:].partition("_")[0]]
        self._tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}

    def add(self, name: str, weight: np.ndarray) -> None:
        """Add a float tensor; a matrix X.weight that is quantized becomes X.q_weight and X.q_scale.

        Raises:
            ValueError: the name is there already.
        """
        bits = QUANTIZATIONS[self._label].bits
        table = any(part in TABLES for part in name.split("."))
        if not bits or weight.ndim != 2 or (table and self._label.endswith("_2")):
            self._add(name, weight.shape, self._floats, self._rounded(weight)[0].tobytes())
            return
        words, scales = quantize_groups(weight, bits, self._rounded)
        if self._label.endswith("_0") and "embed_tokens" not in name:
            words, scales = words.T, scales.T
        stem = name.removesuffix(".weight")
        self._add(stem + CODES, words.shape, "uint32", words.tobytes())
        self._add(stem + SCALES, scales.shape, self._floats, scales.tobytes())

    def write(self, folder: str | Path) -> None:
        """Write config, index and shards into a folder, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        shards = []
        for number, names in enumerate(self._packed()):
            filename = f"params_shard_{number}.bin"
            records, data = self._shard(names)
            (folder / filename).write_bytes(data)
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            shards.append(
                {
                    "dataPath": filename,
                    "format": "raw-shard",
                    "nbytes": len(data),
                    "records": records,
                    "md5sum": digest,
                }
            )
        total = sum(len(data) for _, _, data in self._tensors.values())
        index = {
            "metadata": {"ParamSize": len(self._tensors), "ParamBytes": float(total)},
            "records": shards,
        }
        config = {**self._config, "quantization": self._label}
        (folder / INDEXES[0]).write_text(json.dumps(index, indent=1), "utf-8")
        (folder / MLC_CONFIG).write_text(json.dumps(config, indent=1), "utf-8")

    def _add(self, name: str, shape: tuple[int, ...], dtype: str, data: bytes) -> None:
        if name in self._tensors:
            raise ValueError(f"the tensor {name!r} is there already")
        self._tensors[name] = (dtype, shape, data)

    def _rounded(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Floats as the file has them, and their values: of float32 the upper half, rounded to
        even."""
        import numpy as np

        if self._raw:
            return np.ascontiguousarray(values, np.float32), values
        if self._floats == "float16":
            halves = values.astype(np.float16)
            return halves, halves.astype(np.float32)
        words = np.ascontiguousarray(values, np.float32).view(np.uint32)
        upper = ((words + 0x7FFF + ((words >> 16) & 1)) >> 16).astype(np.uint16)
        return upper, (upper.astype(np.uint32) << 16).view(np.float32)

    def _packed(self) -> Iterator[list[str]]:
        """The names of each shard's tensors."""
        names: list[str] = []
        size = 0
        for name, (_, _, data) in self._tensors.items():
            if names and size + len(data) > SHARD_BYTES:
                if len(data) >= ALONE_BYTES:
                    yield [name]
                    continue
                yield names
                names, size = [], 0
            names.append(name)
            size += len(data)
        yield names

    def _shard(self, names: list[str]) -> tuple[list[dict[str, Any]], bytes]:
        records, shard = [], b""
        for name in names:
            dtype, shape, data = self._tensors[name]
            records.append(
                {
                    "name": name,
                    "shape": list(shape),
                    "dtype": dtype,
                    "format": "raw" if self._raw else "f32-to-bf16",
                    "nbytes": len(data),
                    "byteOffset": len(shard),
                }
            )
            shard += data
        return records, shard


def quantize_groups(
    weight: np.ndarray, bits: int, rounded: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """mlc_llm's group quantization of the rows of a matrix.

    Args:
        weight: (rows, columns).
        bits: of a code, 4 or 3.
        rounded: scales as they are stored, and their values.

    Returns:
        uint32 words (rows, 4 * groups) and stored scales (rows, groups). A code stands for
        ``(code - zero) * scale``, zero being the greatest number of one bit less.
    """
    import numpy as np

    size, a_word, zero = SIZES[bits], 32 // bits, 2 ** (bits - 1) - 1
    rows, columns = weight.shape
    padded = np.pad(np.asarray(weight, np.float32), ((0, 0), (0, -columns % size)))
    groups = padded.reshape(rows, -1, size)
    scales, values = rounded(np.abs(groups).max(2) / np.float32(zero))
    steps = np.where(values == 0, 1, values)[..., None]
    codes = np.clip(np.rint(groups / steps + zero), 0, 2 * zero).astype(np.uint32)
    codes.reshape(rows, -1)[:, columns:] = 0
    shifts = np.arange(a_word, dtype=np.uint32) * np.uint32(bits)
    words = (codes.reshape(rows, -1, a_word) << shifts).sum(2, dtype=np.uint32)
    return words, scales
