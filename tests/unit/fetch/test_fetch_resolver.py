"""What a user may give as a source, and what becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from range_server import FILE, running_server

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch import resolve, resolver
from webllm_py.fetch.files.local import LocalFile, LocalFolder
from webllm_py.fetch.http.native import HttpFile
from webllm_py.fetch.http.url import HttpFolder
from webllm_py.fetch.resolver import open_beside, telling_of_guesses
from webllm_py.fetch.source import base_name

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("http://h/a/model.gguf", HttpFile, "http://h/a/model.gguf"),
        ("https://h/model.gguf?sig=a/b", HttpFile, "https://h/model.gguf?sig=a/b"),
        ("HTTPS://h/my model.gguf", HttpFile, "https://h/my%20model.gguf"),
        ("https://h/model.safetensors", HttpFile, "https://h/model.safetensors"),
        ("https://h/models/", HttpFolder, "https://h/models/"),
        ("https://h/dir.gguf/", HttpFolder, "https://h/dir.gguf/"),
        ("https://h/Qwen2.5-0.5B", HttpFolder, "https://h/Qwen2.5-0.5B"),
        ("https://h", HttpFolder, "https://h"),
        ("hf:org/name:m-q8_0.gguf", HttpFile, f"{HUB}/org/name/resolve/main/m-q8_0.gguf"),
        ("hf:org/na.me@v1.0:a/b c.gguf", HttpFile, f"{HUB}/org/na.me/resolve/v1.0/a/b%20c.gguf"),
        ("hf:org/name", HttpFolder, f"{HUB}/org/name/resolve/main/"),
        ("hf:org/name@refs/pr/1", HttpFolder, f"{HUB}/org/name/resolve/refs%2Fpr%2F1/"),
        ("hf:org/name@abc:sub/", HttpFolder, f"{HUB}/org/name/resolve/abc/sub/"),
        (f"{HUB}/org/name", HttpFolder, f"{HUB}/org/name/resolve/main/"),
        (f"{HUB}/org/name/tree/dev", HttpFolder, f"{HUB}/org/name/resolve/dev/"),
        (f"{HUB}/org/n/blob/main/m.gguf", HttpFile, f"{HUB}/org/n/resolve/main/m.gguf"),
        (f"{HUB}/org/n/resolve/main/m.gguf", HttpFile, f"{HUB}/org/n/resolve/main/m.gguf"),
    ],
)
async def test_addresses(source: str, kind: type, name: str) -> None:
    opened = await resolve(source)
    assert (type(opened), opened.name) == (kind, name)


async def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "hf:odd name?.gguf"
    path.write_bytes(b"GGUF")
    for source in (path, str(path)):
        file = await resolve(source)
        assert isinstance(file, LocalFile)
        assert await file.read(0, 4) == b"GGUF"
        await file.close()
    for source in (tmp_path, str(tmp_path) + "/"):
        folder = await resolve(source)
        assert isinstance(folder, LocalFolder)
        assert await folder.list() == [path.name]


async def test_a_path_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a notebook gives it, where no shell has read it before."""
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    for source in ("~/m.gguf", Path("~/m.gguf")):
        file = await resolve(source)
        assert file.name == str(tmp_path / "m.gguf")
        await file.close()


async def test_sources_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    assert await resolve(folder) is folder
    file = HttpFile("http://h/f")
    assert await resolve(file) is file


@pytest.mark.parametrize(
    "source",
    [
        "",
        "no/such/file.gguf",
        "a\x00b",
        "x" * 5000,
        None,
        7,
        b"GGUF",
        ["a.gguf"],
        object(),
        "ftp://h",
    ],
)
async def test_anything_else_says_what_is_accepted(source: object) -> None:
    with pytest.raises(SourceError, match=r"a \.gguf file or of a folder.*hf:org/name"):
        await resolve(source)


@pytest.mark.parametrize(
    "source", ["hf:name", "hf:org/name/file", "hf:", "hf:org/name@", "HF:a b/c"]
)
async def test_malformed_hub_sources(source: str) -> None:
    with pytest.raises(SourceError, match=r"not of the form hf:org/name\[@revision\]\[:file\]"):
        await resolve(source)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"C:\models\m.gguf", r"'C:\models\m.gguf'. A model"),
        ("a\0b", r"'a\x00b'. A model"),
        ("org/Name-2.5", "'org/Name-2.5'. Did you mean 'hf:org/Name-2.5'? A model"),
        ("org/name:Q4_K_M", "'org/name:Q4_K_M'. Did you mean 'hf:org/name:Q4_K_M'? A model"),
        ("Qwen3-0.6B", "'Qwen3-0.6B'. Did you mean 'Qwen3-0.6B-q4f16_1-MLC'? A model"),
        ("models/m.gguf", "'models/m.gguf'. A model"),
        ("../models/m", "'../models/m'. A model"),
    ],
)
async def test_what_is_not_there(source: str, shown: str) -> None:
    with pytest.raises(SourceError) as caught:
        await resolve(source)
    assert str(caught.value).startswith(f"there is no file or folder {shown}")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("m.gguf", "Python sees no file 'm.gguf', so it was taken as an address here. "),
        ("org/Name-2.5", "Python sees .* here. Did you mean 'hf:org/Name-2.5'\\? "),
        ("Qwen3-0.6B", "Python sees .* here. Did you mean 'Qwen3-0.6B-q4f16_1-MLC'\\? "),
        ("https://h/m.gguf", ""),
        ("hf:org/name", ""),
        ("Qwen3-0.6B-q4f16_1-MLC", ""),
        (7, ""),
    ],
)
def test_what_a_browser_took_for_an_address(
    source: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = SimpleNamespace(absolute_url=lambda text: f"https://here/{text}")
    monkeypatch.setitem(sys.modules, "webllm_py.fetch.browser", bridge)
    monkeypatch.setattr(resolver, "in_browser", lambda: True)
    with pytest.raises(SourceError, match=f"^{told}404[.]$") as caught, telling_of_guesses(source):
        raise SourceError("404.", status=404)
    assert caught.value.status == 404


async def test_malformed_address() -> None:
    with pytest.raises(SourceError, match="not a valid address"):
        await resolve("http://[::1/f")


async def test_hub_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paths that the hub is asked for, on a server of our own."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url("range"))
        folder = await resolve("hf:org/name@v2")
        assert isinstance(folder, HttpFolder)
        file = await folder.open("config.json")
        assert await file.read(0, 5) == FILE[:5]
        await file.close()
        assert await folder.list() is None
    assert [path for path, _ in server.requests] == [
        "/range/org/name/resolve/v2/config.json",
        "/range/api/models/org/name/revision/v2?blobs=true",
    ]


async def test_a_file_beside_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its folder, with the query (a signature) that its address has."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "a.gguf").write_bytes(b"a")
    (tmp_path / "b.gguf").write_bytes(b"bytes of b")
    given = LocalFile(tmp_path / "a.gguf")
    found = await open_beside(given, "b.gguf")
    assert await found.read(0, 10) == b"bytes of b"
    with pytest.raises(MissingFileError, match=r"holds no c\.gguf"):
        await open_beside(given, "c.gguf")
    await given.close()
    await found.close()
    with running_server() as server:
        server.files["b.gguf"] = b"bytes of b"
        address = HttpFile(server.url("files/a.gguf?sig=x/y"))
        found = await open_beside(address, "b.gguf")
        assert await found.read(0, 10) == b"bytes of b"
        await found.close()
        with pytest.raises(MissingFileError, match=r"holds no c\.gguf"):
            await open_beside(address, "c.gguf")
    assert server.requests[0][0] == "/files/b.gguf?sig=x/y"


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("/models/a.gguf", "a.gguf"),
        ("C:\\models\\a.gguf", "a.gguf"),
        ("/models/Qwen/", "Qwen"),
        ("https://h/x/a.gguf?sig=1/2#f", "a.gguf"),
        (f"{HUB}/org/name/resolve/main/", "name"),
        (f"{HUB}/org/name/resolve/main/a.gguf", "a.gguf"),
        ("what?.gguf", "what?.gguf"),
    ],
)
def test_base_name(name: str, base: str) -> None:
    assert base_name(name) == base
