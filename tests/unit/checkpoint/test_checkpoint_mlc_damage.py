"""MLC folders: what is said of damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import numpy as np
import pytest
from mlc_files import CODES, NAME, NORM, SCALES, Files, folder_of, opened, record, shard, small

from webllm_py.checkpoint import open_checkpoint
from webllm_py.errors import (
    CorruptCheckpointError,
    MissingFileError,
    UnsupportedModelError,
    WebLLMError,
)

Change = Callable[[dict[str, Any], dict[str, Any], Files], Any]


def no_scales(config: dict[str, Any], index: dict[str, Any], shards: Files) -> None:
    index["records"][1]["records"].pop()


def twice(config: dict[str, Any], index: dict[str, Any], shards: Files) -> None:
    index["records"][1]["records"][1] |= {"name": "model.norm.weight"}


def set_record(shard: int, tensor: int, **fields: Any) -> Change:
    return lambda config, index, shards: index["records"][shard]["records"][tensor].update(fields)


def set_shard(number: int, **fields: Any) -> Change:
    return lambda config, index, shards: index["records"][number].update(fields)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c, i, s: c.pop("model_type"), CorruptCheckpointError, "no model_type"),
        (lambda c, i, s: c.update(model_config=[]), CorruptCheckpointError, "no model_type and"),
        (lambda c, i, s: c.update(quantization="q4f16_ft"), UnsupportedModelError, "'q4f16_ft'"),
        (lambda c, i, s: c.update(context_window_size="x"), CorruptCheckpointError, "= 'x'"),
        (lambda c, i, s: i.pop("records"), CorruptCheckpointError, "no records"),
        (lambda c, i, s: i["records"].append(3), CorruptCheckpointError, "3 is no shard"),
        (lambda c, i, s: s.pop("params_shard_1.bin"), MissingFileError, "1 of the 2 .*_1.bin"),
        (
            lambda c, i, s: s.update({"params_shard_1.bin": bytes(139)}),
            CorruptCheckpointError,
            "_1.bin is incomplete: it has 139 bytes.* 140",
        ),
        (set_shard(0, dataPath="../x.bin"), CorruptCheckpointError, "not a file beside it"),
        (set_shard(0, dataPath="params_shard_1.bin"), CorruptCheckpointError, "shard .* twice"),
        (set_shard(0, md5sum="abc"), CorruptCheckpointError, "md5sum of params_shard_0.bin"),
        (set_shard(1, nbytes=130), CorruptCheckpointError, "reaches to byte 140"),
        (set_record(0, 0, shape=[3, -8]), CorruptCheckpointError, "no tensor with name"),
        (set_record(0, 0, shape=[3, 9]), CorruptCheckpointError, "needs 108"),
        (set_record(0, 0, byteOffset=1), CorruptCheckpointError, "reaches to byte 97"),
        (set_record(1, 1, byteOffset=120), CorruptCheckpointError, "overlaps the tensor"),
        (set_record(1, 0, dtype="int8"), UnsupportedModelError, r"int8 \(1 tensors\)"),
        (set_record(1, 1, dtype="float32", format="raw", nbytes=24), CorruptCheckpointError, "152"),
        (set_record(1, 1, shape=[2, 3]), CorruptCheckpointError, "do not belong together"),
        (no_scales, CorruptCheckpointError, "no scales"),
        (twice, CorruptCheckpointError, "12 bytes, but its shape|tensor .* twice"),
    ],
)  # fmt: skip
async def test_damage(change: Change, error: type[WebLLMError], message: str) -> None:
    files = small()
    change(*files)
    folder = folder_of(*files)
    with pytest.raises(error, match=message):
        await open_checkpoint(folder)
    assert not any(source.open for source in folder.opened)


async def test_float32_scales_are_refused() -> None:
    config, index, _ = small()
    data = NORM.tobytes() + SCALES.astype(np.float32).tobytes()
    index["records"][1] = shard(
        1,
        data,
        record("model.norm.weight", [64], "float16", 128, 0),
        {**record(f"{NAME}.q_scale", [3, 2], "float32", 24, 128), "format": "raw"},
    )
    shards = {"params_shard_0.bin": CODES.tobytes(), "params_shard_1.bin": data}
    with pytest.raises(UnsupportedModelError, match="4 bits with scales of F32"):
        await opened(config, index, shards)


async def test_no_index() -> None:
    folder = folder_of(*small())
    del folder.files["tensor-cache.json"]  # type: ignore[attr-defined]
    with pytest.raises(MissingFileError, match="the index of its weights is missing"):
        await open_checkpoint(folder)


async def test_a_shard_that_is_damaged_is_named() -> None:
    config, index, shards = small()
    shards["params_shard_1.bin"] = bytes(140)
    checkpoint = await opened(config, index, shards)
    with pytest.raises(CorruptCheckpointError, match=r"params_shard_1\.bin is damaged: its MD5"):
        await checkpoint.verify()


EXTREMES: list[Any] = [None, -1, 0, 2**31, 2**63, 1e300, True, "", "x", "../x", [], [0], {}, [[1]]]


def damaged(value: Any) -> Iterator[Any]:
    """The JSON value with one of its parts replaced by each extreme, or left out."""
    yield from EXTREMES
    if not isinstance(value, dict | list):
        return
    for key in range(len(value)) if isinstance(value, list) else list(value):
        less = copy(value)
        del less[key]
        yield less
        for other in damaged(value[key]):
            changed = copy(value)
            changed[key] = other
            yield changed


async def test_every_field_at_every_extreme() -> None:
    """Named errors only, and nothing left open."""
    config, index, shards = small()
    cases = [(bad, index) for bad in damaged(config)] + [(config, bad) for bad in damaged(index)]
    refused = 0
    for case in cases:
        folder = folder_of(*case, shards)
        try:
            checkpoint = await open_checkpoint(folder)
        except WebLLMError as error:
            assert str(error)
            refused += 1
        else:
            await checkpoint.close()
        assert not any(source.open for source in folder.opened)
    assert len(cases) > 1000 and refused > len(cases) // 3
