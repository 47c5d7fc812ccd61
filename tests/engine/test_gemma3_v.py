"""Gemma 3 that sees: logits as transformers has them, and images that are read at once."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY
from made_gemma3_v import (
    GEMMA3_CONFIG,
    gemma3_conversations,
    gemma3_weights,
    write_gemma3_v,
    write_gemma3_v_gguf,
)
from made_models import checksum
from made_vision import FIXTURE, image_of
from model_files import write_safetensors
from test_vision import logits_of, pixels_of, with_details

import webllm_py
from webllm_py import Engine
from webllm_py.checkpoint import open_checkpoint
from webllm_py.cli import main
from webllm_py.engine.prompts import see_images
from webllm_py.errors import CorruptCheckpointError, MissingFileError, UnsupportedModelError
from webllm_py.gpu import Device
from webllm_py.loading.sliding_window import whole_window
from webllm_py.models import model_for
from webllm_py.models.image_rows import NO_TOKEN, before_image, rows_ahead, rows_of_image
from webllm_py.models.step import Row
from webllm_py.runtime.vision.preprocessor import ImagePreprocessor

ROWS = GEMMA3_CONFIG["mm_tokens_per_image"]


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as file:
        return {name: file[name] for name in file.files if name.startswith("gemma3")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gemma3_v(tmp_path_factory.mktemp("seeing") / "gemma3")


@pytest.fixture(scope="module")
async def engine(folder: Path, device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        yield engine


def asking(image: Any, before: str = "", after: str = "What is it?") -> list[Any]:
    parts = [{"type": "text", "text": before}, {"type": "image", "image": image}]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": after}]}]


@pytest.mark.parametrize("name", ["one", "three", "crops"])
async def test_logits(engine: Engine, expected: dict[str, np.ndarray], name: str) -> None:
    assert checksum(gemma3_weights()) == expected["gemma3 checksum"]
    found, tokens, _ = await logits_of(engine, gemma3_conversations()[name])
    assert tokens == len(expected[f"gemma3 {name} ids"])
    assert np.abs(found - expected[f"gemma3 {name} logits"]).max() < 5e-5


async def test_names_of_transformers_5(tmp_path: Path, folder: Path) -> None:
    """The same model, by other names of its tensors and of a file."""
    declared = []
    for one in (folder, write_gemma3_v(tmp_path / "newer", newer=True)):
        checkpoint = await open_checkpoint(one)
        model = model_for(checkpoint)
        await checkpoint.close()
        assert model.vision
        shapes = {name: tensor.shape for name, tensor in model.vision.tensors.items()}
        shapes |= {name: tensor.shape for name, tensor in model.tensors.items()}
        declared.append((model.config, model.vision.config, model.vision.processor, shapes))
    assert declared[0] == declared[1]


async def test_gguf(tmp_path: Path, device: Device, expected: dict[str, np.ndarray]) -> None:
    folder = write_gemma3_v_gguf(tmp_path / "gemma3")
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        assert engine.info["vision"] == "gemma3"
        found, _, _ = await logits_of(engine, gemma3_conversations()["three"])
    assert np.abs(found - expected["gemma3 three logits"]).max() < 5e-5


async def test_pixels(engine: Engine, expected: dict[str, np.ndarray]) -> None:
    """Of an image and its crops."""
    images = engine.loaded.executor.images
    assert images
    encoder, found = images.encoder, list[np.ndarray]()
    messages = [with_details(message) for message in gemma3_conversations()["crops"]]
    for prepared in await see_images(engine.loaded, messages):
        preprocessor = ImagePreprocessor(encoder.device, encoder.config, await encoder.prepare())
        await preprocessor.make(prepared)
        found += [await pixels_of(preprocessor, tile.image) for tile in prepared.layout.tiles]
        preprocessor.close()
    tiles = np.array(found).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(tiles, expected["gemma3 crops pixels"])


async def test_a_prompt_goes_on_within_an_image(engine: Engine) -> None:
    """Pages are shared by whole pages, wherever images begin and end: what is left of an image is
    read with what is there of it."""
    image, pages = image_of("shared", 40, 30), engine.loaded.executor.cache.pages
    before = "A page ends here:"
    question = asking(image, before, "And?")
    pages.clear()
    fresh, length, _ = await logits_of(engine, question)
    pages.clear()
    await logits_of(engine, asking(image, before, "Of this question nothing is shared. " * 4))
    again, _, cached = await logits_of(engine, question)
    assert cached == 32 and length - len("And?") > 32 + ROWS // 4
    np.testing.assert_allclose(again, fresh, atol=2e-5)
    other, _, cached = await logits_of(engine, asking(image_of("other", 40, 30), before, "And?"))
    assert cached < 32 and np.abs(other - fresh).max() > 0.01


async def test_requests_side_by_side(engine: Engine) -> None:
    """Answers are those of requests alone, whichever come together."""
    asked = [gemma3_conversations()["three"], [{"role": "user", "content": "Count."}]]

    async def answers(messages: list[Any], n: int = 1) -> list[str]:
        reply = await engine.chat.completions.create(
            messages=messages, max_tokens=10, temperature=0, logit_bias=PRINTABLE_ONLY, n=n
        )
        return [choice.message.content for choice in reply.choices]

    alone = [await answers(messages) for messages in asked]
    engine.loaded.executor.cache.pages.clear()
    together = await asyncio.gather(*map(answers, asked))
    assert together == alone
    assert await answers(asked[0], n=2) == 2 * alone[0]


async def test_images_past_a_sliding_window(
    folder: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an image has no room behind what is there, room is made before it is read."""
    options: dict[str, Any] = {"sliding_window_size": 512, "attention_sink_size": 4}
    async with await webllm_py.load(folder, device=device, kv_dtype="f32", **options) as engine:
        executor, parts = engine.loaded.executor, list[list[Row]]()
        write = executor.write_rows

        def noted(rows: Sequence[Row], picked: int = 0) -> None:
            parts.append(list(rows))
            write(rows, picked)

        monkeypatch.setattr(executor, "write_rows", noted)
        long = asking(image_of("far", 30, 30), "There are many words before it. " * 15 + "And here")
        first, length, _ = await logits_of(engine, long)
        seeing = [part for part in parts if any(row.drawn for row in part)]
        assert len(seeing) == 1, "the image was cut"
        places = [row.position for row in seeing[0] if row.token == NO_TOKEN]
        before = length - len("What is it?") - 12 - ROWS
        assert before < 512 < before + ROWS
        assert len(places) == ROWS and places[0] == before - 96, "three of fifteen pages"
        again, _, cached = await logits_of(engine, long)
        assert cached
        np.testing.assert_allclose(again, first, atol=2e-5)
        executor.cache.pages.clear()
        again, _, _ = await logits_of(engine, long)
        np.testing.assert_allclose(again, first, atol=2e-5)


def test_a_window_has_room_for_an_image() -> None:
    assert whole_window(400, 4, 256) == 384
    with pytest.raises(ValueError, match="at least 352 for a model whose images take 256"):
        whole_window(351, 4, 256)


def test_rows_of_images() -> None:
    one, other = (3 << 32), (5 << 32)
    tokens = [7, *range(one, one + 4), *range(other, other + 2), 9, one + 8, one + 9]
    assert [rows_of_image(tokens, i) for i in (0, 1, 3, 5, 7, 8)] == [0, 4, 2, 2, 0, 2]
    assert rows_ahead(tokens) == [0, 3, 2, 1, 0, 1, 0, 0, 1, 0]
    assert [before_image(tokens, i) for i in (1, 2, 4, 5, 6, 7, 9, 10)] == [1, 1, 1, 5, 5, 7, 8, 10]


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(folder)]) == 0
    assert "images          read by its vision tower (gemma3)" in capsys.readouterr().out


async def test_text_alone(tmp_path: Path, folder: Path) -> None:
    """A folder without what sees reads text."""
    made = tmp_path / "text"
    shutil.copytree(folder, made)
    (made / "preprocessor_config.json").unlink()
    text = {n: w for n, w in gemma3_weights().items() if n.startswith("language_model.")}
    write_safetensors(made / "model.safetensors", text, "F32")
    checkpoint = await open_checkpoint(made)
    assert model_for(checkpoint).vision is None
    await checkpoint.close()


@pytest.mark.parametrize(
    ("file", "change", "error", "words"),
    [
        ("config", {"mm_tokens_per_image": 25}, CorruptCheckpointError, "mm_tokens_per_image = 25"),
        ("config", {"mm_tokens_per_image": None}, CorruptCheckpointError, "= None"),
        ("preprocessor_config", {"size": {"height": 9}}, CorruptCheckpointError, "36 by 36"),
        ("preprocessor_config", None, MissingFileError, "preprocessor_config.json, which says how"),
    ],
)
async def test_what_files_may_not_say(
    tmp_path: Path, folder: Path, device: Device, file: str, change: Any, error: type, words: str
) -> None:
    made = tmp_path / "changed"
    shutil.copytree(folder, made)
    path = made / f"{file}.json"
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(error, match=words):
        await webllm_py.load(made, device=device)


@pytest.mark.parametrize(
    ("kind", "numbers", "words"),
    [
        ("gemma3", {"projector.scale_factor": 5}, "joins patches of 3 in 36 pixels by 5"),
        ("gemma3", {"image_size": 0}, "joins patches of 3 in 0 pixels by 3"),
        ("pixtral", {}, "type 'pixtral'; this version runs 'idefics3' .* and 'gemma3'"),
    ],
)
async def test_what_projector_files_may_not_say(
    tmp_path: Path, kind: str, numbers: dict[str, Any], words: str
) -> None:
    folder = write_gemma3_v_gguf(tmp_path / "gemma3", kind=kind, **numbers)
    checkpoint = await open_checkpoint(folder)
    with pytest.raises((CorruptCheckpointError, UnsupportedModelError), match=words):
        model_for(checkpoint)
    await checkpoint.close()
