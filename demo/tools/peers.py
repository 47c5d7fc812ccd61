"""Other engines that run a model in a browser, measured beside ours: what they are, what to say.

They are development tools, fetched from npm when they are asked for: no wheel and no site holds
them. ``peer/`` holds the pages that measure them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .environment import Environment
from .npm import fetch_package
from .steps import StepFailedError, Steps

__all__ = ["PEERS", "PEER_PACKAGES", "Package", "Peer"]

PEER_PACKAGES = Path(__file__).resolve().parents[2] / ".cache" / "peers"


@dataclass(frozen=True)
class Package:
    """A package on npm.

    Attributes:
        files: those of it that the peer's page loads, and the licence.
        folder: where it is kept, below the peer's.
    """

    name: str
    version: str
    files: tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True)
class Peer:
    """An engine on npm.

    Attributes:
        packages: the engine's own one first.
        reads: the kind of model: "gguf", or "onnx" that is made from it.
        ran: says of a report of its page what the engine is and what it ran on.
    """

    name: str
    packages: tuple[Package, ...]
    reads: Literal["gguf", "onnx"]
    ran: Callable[[Mapping[str, Any]], str]

    @property
    def checked(self) -> bool:
        """Whether its page takes token ids, and so can show that it computes what we do."""
        return self.reads == "onnx"

    @property
    def version(self) -> str:
        """The engine's."""
        return self.packages[0].version

    def folder(self, packages: Path = PEER_PACKAGES) -> Path:
        """Where its packages lie below the folder of all of them."""
        return packages / f"{self.name}-{self.version}"

    @property
    def files(self) -> tuple[Path, ...]:
        """What its page loads, below that folder."""
        return tuple(Path(one.folder, name) for one in self.packages for name in one.files)

    def fetch(self, environment: Environment, steps: Steps, packages: Path = PEER_PACKAGES) -> None:
        """Its packages from npm, unless they are there already."""
        folder = self.folder(packages)
        for one in self.packages:
            fetch_package(environment, steps, one.name, one.version, folder / one.folder)
        missing = [name for name in self.files if not (folder / name).is_file()]
        if missing:
            raise StepFailedError(f"{missing[0]} is missing: remove {folder}, try again")


def wllama_ran(theirs: Mapping[str, Any]) -> str:
    """What wllama computed on, and why where it is not the GPU."""
    engine = f"llama.cpp {theirs['llama_cpp']}"
    layers, all_layers = theirs["layers_on_gpu"], theirs["layers"]
    if layers:
        return f"({engine}) ran on WebGPU, {layers} of {all_layers} layers"
    threads = "one thread" if theirs["threads"] == 1 else f"{theirs['threads']} threads"
    place = f"({engine}) ran on the CPU ({threads} of WebAssembly), not on WebGPU"
    if theirs["adapter_has_f16"]:
        return place
    return f"{place}:\nits WebGPU backend needs shader-f16, which this adapter has not"


def transformers_ran(theirs: Mapping[str, Any]) -> str:
    """What transformers.js computed with."""
    return f"(onnxruntime-web {theirs['onnxruntime']}) ran on WebGPU, {theirs['dtype']}"


WLLAMA_FILES = ("LICENCE", "package.json", "esm/index.js", "esm/wasm/wllama.wasm")
RUNTIME = "dist/ort-wasm-simd-threaded.asyncify"
PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("wllama", (Package("@wllama/wllama", "3.8.1", WLLAMA_FILES),), "gguf", wllama_ran),
        Peer(
            "transformers.js",
            (
                Package(
                    "@huggingface/transformers",
                    "4.3.2",
                    ("LICENSE", "package.json", "dist/transformers.min.js"),
                    "transformers",
                ),
                # The version that it depends on.
                Package(
                    "onnxruntime-web",
                    "1.31.0-dev.20260914-8d85527a0",
                    ("README.md", "package.json", f"{RUNTIME}.mjs", f"{RUNTIME}.wasm"),
                    "onnxruntime-web",
                ),
            ),
            "onnx",
            transformers_ran,
        ),
    )
}
