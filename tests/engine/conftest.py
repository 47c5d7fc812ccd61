"""Devices and engines that the tests share: a kernel is compiled once for a whole run.

A device here is anything that ``webllm_py.load(device=...)`` takes. ``OPENERS`` names them; a
device behind another kind of GPU becomes one more entry.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "gpu"))  # formats.py: numpy's quantizers

from engine_tools import open_files
from made_adapters import ADAPTERS, MIX, RecordedAdapter
from made_embedders import EMBEDDERS, write_embedder
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.errors import NoAdapterError
from webllm_py.fetch.store.texts import FolderStore
from webllm_py.gpu import Device, open_device
from webllm_py.runtime import executor
from webllm_py.runtime.tuning import choices
from webllm_py.runtime.weights import batches, pieces

CHECKPOINTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "checkpoints"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-family", action="store_true", help="try adapters beside each family's every file"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long and is much like what stays."""
    if config.getoption("--every-family", default=False):
        return
    left_out = [item for item in items if item.get_closest_marker("every_family")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


async def open_native_variant(*, f16: bool, subgroups: bool) -> Device | None:
    """A device that uses just these features; None where the adapter lacks one of them."""
    try:
        device = await open_device(f16=f16, subgroups=subgroups)
    except NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")
    if device.variant.f16 != f16 or bool(device.variant.subgroups) != subgroups:
        device.close()
        return None
    return device


OPENERS: Mapping[str, Callable[[], Awaitable[Device | None]]] = {
    "f32": partial(open_native_variant, f16=False, subgroups=False),
    "f32-subgroups": partial(open_native_variant, f16=False, subgroups=True),
    "f16": partial(open_native_variant, f16=True, subgroups=False),
    "f16-subgroups": partial(open_native_variant, f16=True, subgroups=True),
}


@pytest.fixture(autouse=True)
def kept_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test's loads keep what they measured: no other's, and not the user's."""
    monkeypatch.setattr(choices, "open_store", lambda kind: FolderStore(tmp_path / kind))
    return tmp_path / choices.KIND


class Devices:
    """The devices by name, opened when first asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Device | None] = {}

    @property
    def opened(self) -> dict[str, Device]:
        return {name: device for name, device in self._found.items() if device}

    async def find(self, name: str) -> Device | None:
        if name not in self._found:
            self._found[name] = await OPENERS[name]()
        return self._found[name]

    async def get(self, name: str) -> Device:
        device = await self.find(name)
        if not device:
            pytest.skip(f"this adapter has no variant {name}")
        return device

    async def best(self) -> Device:
        """What ``load`` opens when it is given none: every feature that the adapter has."""
        found = [device for name in OPENERS if (device := await self.find(name))]
        return found[-1]


@pytest.fixture(scope="session")
async def devices() -> AsyncIterator[Devices]:
    """Every engine that was loaded on them must have been unloaded in the end."""
    devices = Devices()
    yield devices
    left = {name: device.n_buffers for name, device in devices.opened.items()}
    for device in devices.opened.values():
        device.close()
    assert not any(left.values()), f"buffers that nobody freed: {left}"


@pytest.fixture(params=OPENERS)
async def each_device(request: pytest.FixtureRequest, devices: Devices) -> Device:
    """Each device in turn."""
    return await devices.get(request.param)


@pytest.fixture(scope="session")
async def device(devices: Devices) -> Device:
    """The device that ``load`` opens when it is given none: all features in use."""
    return await devices.best()


@pytest.fixture(scope="session")
async def plain_device(devices: Devices) -> Device:
    """The device without f16 arithmetic, for tight tolerances."""
    return await devices.get("f32")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def small_model(files: Files) -> Path:
    """A GGUF file of a model that is quick to run, for tests of what an engine does."""
    return files.gguf(SMALL)


@pytest.fixture(scope="session")
async def engine(small_model: Path, device: Device) -> AsyncIterator[webllm_py.Engine]:
    """The small model, loaded once. A test that unloads or breaks it loads its own."""
    async with await webllm_py.load(small_model, device=device) as engine:
        yield engine


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of a small text encoder."""
    folder = tmp_path_factory.mktemp("embedder") / "made-embedder"
    return write_embedder(folder, EMBEDDERS["bert-2x40"])


@pytest.fixture(scope="module")
async def embedder(embedder_folder: Path, device: Device) -> AsyncIterator[webllm_py.Engine]:
    """That encoder, loaded once."""
    async with await webllm_py.load(embedder_folder, device=device) as engine:
        yield engine


@pytest.fixture
def checkpoint() -> Callable[[str], Path]:
    """A file or folder of the shared checkpoints; skips the test where it is absent."""

    def find(name: str) -> Path:
        if not (CHECKPOINTS / name).exists():
            pytest.skip(f"the shared test data is missing: {CHECKPOINTS / name}")
        return CHECKPOINTS / name

    return find


@pytest.fixture
async def nothing_left(
    device: Device, files: Files, engine: webllm_py.Engine
) -> AsyncIterator[None]:
    """The shared engine's own buffers and file stay, and no other."""

    def others() -> tuple[int, int, list[str]]:
        nbytes = device.allocated - engine.loaded.owner.nbytes  # its cache may have grown
        return device.n_buffers, nbytes, sorted(open_files(files.folder))

    before = others()
    yield
    assert others() == before


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights come in as many fetches as those of a large model."""
    monkeypatch.setattr(batches, "LEAST_BYTES", 10_000)
    monkeypatch.setattr(pieces, "MOST_BYTES", 40_000)


@pytest.fixture
def no_long_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernels are compiled for prompts that nobody sends."""
    monkeypatch.setattr(executor, "LONG_PROMPTS", ())


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """PEFT's folders of the small model's adapters."""
    folder = tmp_path_factory.mktemp("adapters")
    return {name: RecordedAdapter.load(name).folder(folder / name, ADAPTERS[name]) for name in MIX}


@pytest.fixture(scope="module")
async def adapted(
    files: Files, plain_device: Device, adapters: dict[str, Path]
) -> AsyncIterator[Engine]:
    """The small model in float32 with two adapters."""
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        for folder in adapters.values():
            await engine.load_adapter(folder)
        yield engine
