"""What tuning found, from one load to the next: round trips, damage, other adapters and kernels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webllm_py.errors import SourceError
from webllm_py.fetch.store.texts import FolderStore, open_store, user_cache_folder
from webllm_py.gpu.device import AdapterInfo, Device
from webllm_py.gpu.kernels import Variant
from webllm_py.runtime.memory import SizingDevice
from webllm_py.runtime.tuning import choices
from webllm_py.runtime.tuning.choices import MOST_CHOICES, Choices, keep_choices, kept_choices

FOUND: Choices = {"gemv q4_0 9728x896 glu norm": (32, 4, 1, 1), "attention": (64, 32)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(choices, "open_store", lambda kind: FolderStore(tmp_path / kind))
    return tmp_path / "tuning"


def device_of(variant: Variant | None = None, **changes: Any) -> Device:
    info = replace(AdapterInfo("a GPU", "its maker", "Vulkan", driver="1.0"), **changes)
    device: Any = SizingDevice(info=info, variant=variant)
    return device  # type: ignore[no-any-return]


async def test_what_was_kept_comes_back(folder: Path) -> None:
    assert await kept_choices(device_of()) == {}
    await keep_choices(device_of(), FOUND)
    assert await kept_choices(device_of()) == FOUND
    path = folder / choices.file_name(device_of())
    assert json.loads(path.read_text("utf-8"))["adapter"]["name"] == "a GPU"


async def test_what_is_kept_later_comes_to_it() -> None:
    await keep_choices(device_of(), FOUND)
    await keep_choices(device_of(), {"attention": (32, 32), "more": (1, 1)})
    assert await kept_choices(device_of()) == {**FOUND, "attention": (32, 32), "more": (1, 1)}


async def test_the_oldest_give_way() -> None:
    await keep_choices(device_of(), FOUND)
    await keep_choices(device_of(), {str(i): (i,) for i in range(MOST_CHOICES - 1)})
    kept = await kept_choices(device_of())
    assert len(kept) == MOST_CHOICES and "attention" in kept
    assert next(iter(FOUND)) not in kept


@pytest.mark.parametrize(
    "other",
    [
        device_of(name="another GPU"),
        device_of(vendor="another maker"),
        device_of(backend="Metal"),
        device_of(driver="1.1"),
        device_of(Variant(f16=True)),
        device_of(Variant(subgroups=32)),
    ],
    ids=["name", "vendor", "backend", "driver", "f16", "subgroups"],
)
async def test_each_adapter_has_its_own(other: Device) -> None:
    await keep_choices(device_of(), FOUND)
    assert await kept_choices(other) == {}
    await keep_choices(other, {"attention": (32, 8)})
    assert await kept_choices(device_of()) == FOUND


async def test_other_kernels_are_tuned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    await keep_choices(device_of(), FOUND)
    monkeypatch.setattr(choices, "kernels_hash", lambda: "those of another version")
    assert await kept_choices(device_of()) == {}
    await keep_choices(device_of(), {"attention": (32, 8)})
    assert await kept_choices(device_of()) == {"attention": (32, 8)}


def damaged(text: str) -> list[bytes]:
    whole = json.loads(text)
    return [
        b"",
        b"null",
        b"[1, 2]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        text.encode()[: len(text) // 2],
        json.dumps({**whole, "version": "1"}).encode(),
        json.dumps({**whole, "shapes": []}).encode(),
        json.dumps({**whole, "shapes": {"attention": "64"}}).encode(),
        json.dumps({**whole, "shapes": {"attention": [64, True]}}).encode(),
        json.dumps({**whole, "shapes": {"attention": [64, None]}}).encode(),
    ]


@pytest.mark.parametrize("which", range(11))
async def test_damage_counts_as_nothing_kept(which: int, folder: Path) -> None:
    await keep_choices(device_of(), FOUND)
    path = folder / choices.file_name(device_of())
    path.write_bytes(damaged(path.read_text("utf-8"))[which])
    assert await kept_choices(device_of()) == {}
    await keep_choices(device_of(), FOUND)
    assert await kept_choices(device_of()) == FOUND


async def test_a_store_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        async def read(self, name: str) -> str | None:
            raise SourceError("not allowed")

        async def write(self, name: str, text: str) -> None:
            raise SourceError("no space left")

    monkeypatch.setattr(choices, "open_store", lambda kind: Full())
    await keep_choices(device_of(), FOUND)
    assert await kept_choices(device_of()) == {}


async def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "open_store", open_store)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    await keep_choices(device_of(), FOUND)
    assert await kept_choices(device_of()) == {}


async def test_where_a_folder_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = FolderStore(tmp_path / "file")
    with pytest.raises(SourceError, match="cannot be read"):
        await store.read("x.json")
    with pytest.raises(SourceError, match="cannot be written"):
        await store.write("x.json", "text")


async def test_a_text_replaces_the_one_before_it(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "new")
    assert await store.read("x.json") is None
    for text in ("ü", "a longer text"):
        await store.write("x.json", text)
        assert await store.read("x.json") == text
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.json"]


def test_the_user_s_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.name", "posix")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "webllm_py"
