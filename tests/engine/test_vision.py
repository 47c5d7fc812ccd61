"""Models that see: logits as transformers has them, from images in chat requests."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY, Teacher
from made_models import checksum
from made_phi3_v import phi3_v_conversations, phi3_v_weights, write_phi3_v, write_phi3_v_mlc
from made_vision import (
    FIXTURE,
    SEEING,
    conversations,
    image_of,
    vision_weights,
    write_projector,
    write_seeing,
    write_text_gguf,
)
from PIL import Image

import webllm_py
from webllm_py import ContextLengthError, Engine, ImageError
from webllm_py.engine.prompts import see_images
from webllm_py.errors import CorruptCheckpointError, NotAModelError, UnsupportedModelError
from webllm_py.gpu import Device
from webllm_py.runtime.vision.preprocessor import ImagePreprocessor

ANSWER = b"A cat."


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.fixture(scope="module", params=SEEING)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seeing(tmp_path_factory.mktemp("seeing") / request.param, SEEING[request.param])


@pytest.fixture(scope="module")
async def engine(folder: Path, device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        yield engine


one_model = pytest.mark.parametrize("folder", ["idefics3"], indirect=True, scope="module")


async def logits_of(engine: Engine, messages: list[Any]) -> tuple[np.ndarray, int, int]:
    """Behind the prompt and along the answer; the prompt's tokens, and how many were cached."""
    teacher = Teacher([*ANSWER, 0])
    reply = await engine.chat.completions.create(
        messages=messages,
        max_tokens=len(ANSWER) + 1,
        temperature=0,
        ignore_eos=True,
        logits_processors=[teacher],
    )
    usage = reply.usage
    return np.array(teacher.seen), usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens


@pytest.mark.parametrize("name", ["tiles", "whole", "two"])
async def test_logits(engine: Engine, expected: dict[str, np.ndarray], name: str) -> None:
    spec = SEEING[engine.name]
    assert checksum(vision_weights(spec)) == expected[f"{spec.name} checksum"]
    found, tokens, _ = await logits_of(engine, conversations(spec)[name])
    logits = expected[f"{spec.name} {name} logits"]
    assert tokens == len(expected[f"{spec.name} {name} ids"])
    assert np.abs(found - logits).max() < 5e-5


@pytest.fixture(scope="module")
async def phi3_v(tmp_path_factory: pytest.TempPathFactory, device: Device) -> AsyncIterator[Engine]:
    folder = write_phi3_v(tmp_path_factory.mktemp("seeing") / "phi3_v")
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        yield engine


@pytest.mark.parametrize("name", ["wide", "high", "low"])
async def test_phi3_v(phi3_v: Engine, expected: dict[str, np.ndarray], name: str) -> None:
    assert checksum(phi3_v_weights()) == expected["phi3_v checksum"]
    found, tokens, _ = await logits_of(phi3_v, phi3_v_conversations()[name])
    assert tokens == expected[f"phi3_v {name} length"]
    assert np.abs(found - expected[f"phi3_v {name} logits"]).max() < 5e-5


@pytest.mark.parametrize("beside", [True, False])
async def test_gguf(
    tmp_path: Path, device: Device, expected: dict[str, np.ndarray], beside: bool
) -> None:
    """With the projector file in the same folder, or given; an older one has other names."""
    spec = SEEING["smolvlm"]
    text = write_text_gguf(tmp_path / "text-F32.gguf", spec)
    projector = write_projector(tmp_path / "mmproj-F32.gguf", spec, swapped=beside)
    source: dict[str, Any] = {"source": tmp_path}
    if not beside:
        source = {"source": text, "vision": projector}
    async with await webllm_py.load(**source, device=device, kv_dtype="f32") as engine:
        assert engine.info["vision"] == "idefics3"
        found, _, _ = await logits_of(engine, conversations(spec)["tiles"])
    assert np.abs(found - expected["smolvlm tiles logits"]).max() < 5e-5


async def test_projectors_that_do_not_fit(tmp_path: Path, device: Device) -> None:
    spec, other = SEEING.values()
    text = write_text_gguf(tmp_path / "text.gguf", spec)
    projector = write_projector(tmp_path / "other.gguf", other)
    with pytest.raises(CorruptCheckpointError, match=r"mm\.model\.fc\.weight has shape"):
        await webllm_py.load(text, vision=projector, device=device)
    with pytest.raises(NotAModelError, match=r"type 'mmproj'.*This one goes beside it"):
        await webllm_py.load(projector, device=device)
    folder = write_seeing(tmp_path / "folder", spec)
    with pytest.raises(UnsupportedModelError, match="in its own folder"):
        await webllm_py.load(folder, vision=projector, device=device)


async def test_phi3_v_of_mlc(
    tmp_path: Path, device: Device, expected: dict[str, np.ndarray]
) -> None:
    folder = write_phi3_v_mlc(tmp_path / "phi3_v")
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        found, _, _ = await logits_of(engine, phi3_v_conversations()["low"])
    assert np.abs(found - expected["phi3_v low logits"]).max() < 5e-5


@one_model
async def test_pixels(engine: Engine, expected: dict[str, np.ndarray]) -> None:
    messages = conversations(SEEING[engine.name])["two"]
    images = engine.loaded.executor.images
    assert images
    encoder, found = images.encoder, list[np.ndarray]()
    for prepared in await see_images(engine.loaded, [with_details(m) for m in messages]):
        preprocessor = ImagePreprocessor(encoder.device, encoder.config, await encoder.prepare())
        await preprocessor.make(prepared)
        sizes = [await pixels_of(preprocessor, number) for number in range(len(preprocessor.sizes))]
        found += [
            sizes[tile.image][tile.top : tile.top + 32, tile.left : tile.left + 32]
            for tile in prepared.layout.tiles
        ]
        preprocessor.close()
    tiles = np.array(found).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(tiles, expected["idefics3 two pixels"])


def with_details(message: dict[str, Any]) -> dict[str, Any]:
    """A message in normal form."""
    if isinstance(message["content"], str):
        return message
    return {**message, "content": [{"detail": "auto", **part} for part in message["content"]]}


async def pixels_of(preprocessor: ImagePreprocessor, number: int) -> np.ndarray:
    """uint8 (height, width, 3)."""
    (width, height), buffer = preprocessor.sizes[number], preprocessor.pixels[number]
    data = await preprocessor.device.read(buffer, 0, 4 * width * height)
    return np.frombuffer(data, np.uint8).reshape(height, width, 4)[..., :3]


@one_model
async def test_an_image_parts_conversations(engine: Engine) -> None:
    """Of the same token ids, keys and values are shared up to the image that differs."""
    spec = SEEING[engine.name]
    one, other = image_of("one", 40, 40), image_of("other", 40, 40)
    before = "Look at this image and say what it is that you can see there: "

    def asked(image: Any, words: str = "What is it?") -> list[Any]:
        parts = [{"type": "text", "text": before}, {"type": "image", "image": image}]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": words}]}]

    first, _, _ = await logits_of(engine, asked(one))
    second, _, cached = await logits_of(engine, asked(other))
    assert 0 < cached <= len(before) + 10
    again, _, cached = await logits_of(engine, asked(one))
    np.testing.assert_allclose(again, first, atol=2e-5)
    assert np.abs(second - first).max() > 0.1
    changed = one.copy()
    changed[3, 3, 1] ^= 1
    _, _, cached = await logits_of(engine, asked(changed))
    assert 0 < cached <= len(before) + 10
    _, _, cached = await logits_of(engine, asked(one.copy(), "What is it, then?"))
    assert cached >= spec.rows * 5


@one_model
async def test_requests_side_by_side(engine: Engine, expected: dict[str, np.ndarray]) -> None:
    """Answers are those of requests alone, whichever come together."""
    conversation = conversations(SEEING[engine.name])
    text = [{"role": "user", "content": "Count."}]
    asked = [conversation["two"], text, conversation["whole"], conversation["tiles"]]

    async def answer(messages: list[Any]) -> str:
        reply = await engine.chat.completions.create(
            messages=messages, max_tokens=12, temperature=0, logit_bias=PRINTABLE_ONLY
        )
        found: str = reply.choices[0].message.content
        return found

    alone = [await answer(messages) for messages in asked]
    engine.loaded.executor.cache.pages.clear()
    together = await asyncio.gather(*map(answer, asked))
    assert together == alone
    images = engine.loaded.executor.images
    assert images and not images._held


@one_model
async def test_an_image_that_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of its tiles: nothing is left of it, and it can be asked about again."""
    messages = [{"role": "user", "content": [{"type": "image", "image": image_of("x", 50, 50)}]}]
    first, _, _ = await logits_of(engine, conversations(SEEING[engine.name])["tiles"])
    device, patches, tiles = engine.loaded.executor.device, ImagePreprocessor.patches, list[Any]()

    def stop(preprocessor: ImagePreprocessor, tile: Any) -> None:
        tiles.append(tile)
        patches(preprocessor, tile)
        engine.interrupt()

    before = device.n_buffers
    with monkeypatch.context() as patched:
        patched.setattr(ImagePreprocessor, "patches", stop)
        reply = await engine.chat.completions.create(messages=messages, max_tokens=3)
    assert reply.choices[0].finish_reason == "abort" and len(tiles) == 1
    assert device.n_buffers == before
    reply = await engine.chat.completions.create(messages=messages, max_tokens=3, ignore_eos=True)
    assert reply.choices[0].finish_reason == "length"
    again, _, _ = await logits_of(engine, conversations(SEEING[engine.name])["tiles"])
    np.testing.assert_allclose(again, first, atol=2e-5)


@one_model
async def test_penalties_and_guesses_go_round_images(engine: Engine) -> None:
    messages = conversations(SEEING[engine.name])["tiles"]
    reply = await engine.chat.completions.create(
        messages=messages,
        max_tokens=30,
        temperature=0,
        repetition_penalty=1.3,
        no_repeat_ngram_size=2,
        ignore_eos=True,
    )
    assert reply.usage.completion_tokens == 30


@one_model
async def test_a_file_in_a_data_url(engine: Engine) -> None:
    array = image_of("png", 37, 29)
    data = io.BytesIO()
    Image.fromarray(array).save(data, "PNG")
    data.write(bytes((1 - data.tell()) % 3))  # so that there is padding
    text = base64.encodebytes(data.getvalue()).decode()  # in lines, as base64 writes files
    parts = [{"type": "image", "image": array}]
    bare = text.removesuffix("==\n")
    for url in (f"data:image/png;base64,{text}", f"DATA:image/PNG;BASE64,{bare}"):
        parts.append({"type": "image_url", "image_url": {"url": url}})
    assert bare != text
    found = []
    for part in parts:
        messages = [{"role": "user", "content": [part, {"type": "text", "text": "See?"}]}]
        found.append((await logits_of(engine, messages))[0])
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_allclose(found[2], found[0], atol=5e-5)  # after what the cache has of it


def asking(**part: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "See?"}, part]}]


@one_model
@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("data:image/png;base64,AAAA", "cannot be decoded by Pillow"),
        ("data:image/png;base64,A", "not valid base64"),
        (b"GIF89a", "by Pillow .no format that it knows."),
        (Path("/nowhere/cat.png"), "cannot be read"),
        (np.zeros((3, 3)), "not ndarray"),
        ("http://127.0.0.1:9/cat.png", "cannot be had"),
    ],
)
async def test_an_image_that_cannot_be_seen(engine: Engine, image: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        await logits_of(engine, asking(type="image", image=image))
    assert caught.value.param == "messages[0].content[1]"


@one_model
async def test_images_count_in_the_context(engine: Engine) -> None:
    image = {"type": "image", "image": image_of("one", 40, 40)}
    with pytest.raises(ContextLengthError, match="there are 676"):
        await logits_of(engine, [{"role": "user", "content": [image] * 7}])


@one_model
async def test_a_text_that_looks_like_an_image(engine: Engine) -> None:
    """It is the token that it spells, and no place for an image."""
    image = {"type": "image", "image": image_of("one", 40, 40)}
    text = {"type": "text", "text": "An <image> and"}
    _, with_both, _ = await logits_of(engine, [{"role": "user", "content": [text, image]}])
    _, plain, _ = await logits_of(engine, [{"role": "user", "content": [image]}])
    assert with_both - plain == len("An  and") + 1 + 1  # and the space behind "User:"


async def test_a_model_that_reads_only(small_model: Path, device: Device) -> None:
    async with await webllm_py.load(small_model, device=device) as small:
        with pytest.raises(ImageError, match="reads text only, and messages hold 1 image") as error:
            await small.chat.completions.create(messages=asking(type="image", image=b""))
        assert error.value.param == "messages[0].content[1]"
