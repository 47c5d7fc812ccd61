"""The models that other engines are given: our file, or one made of it with the same weights."""

from __future__ import annotations

from pathlib import Path

from webllm_py.errors import RequestError
from webllm_py.fetch.store.texts import user_cache_folder
from webllm_py.loading import pocket_model

from .peers import Peer

__all__ = ["model_for", "readable"]


def readable(peer: Peer, source: str | Path | None) -> str | Path:
    """The file that both engines can read, if need be as ``model_for`` has it.

    Raises:
        RequestError: it is none.
    """
    path = pocket_model() if source is None else source
    if Path(path).is_dir() or not str(path).partition("?")[0].endswith(".gguf"):
        raise RequestError(f"{peer.name} reads .gguf files only: give one as SOURCE, or a --shape")
    if str(path).startswith("hf:"):
        raise RequestError(f"{peer.name} is given the file's address: write it instead of hf:")
    if peer.reads == "onnx":
        if not Path(path).is_file():
            raise RequestError(f"{peer.name} is given a file of this machine, or a --shape")
        try:
            from .onnx_export import check
        except ImportError as error:
            raise RequestError(f"{peer.name}'s model is made with numpy: {error}") from error
        check(Path(path))
    return path


def model_for(peer: Peer, file: str | Path, *, f16: bool) -> str | Path:
    """What the peer's page loads.

    Args:
        file: what ``readable`` found.
        f16: whether the adapter has it.

    Raises:
        RequestError: it cannot be made.
    """
    if peer.reads == "gguf":
        return file
    from .onnx_export import export  # numpy is needed for nothing else

    kind = "q4f16" if f16 else "q4"
    folder = user_cache_folder() / "bench" / f"{Path(file).stem}.{kind}"
    export(Path(file), folder, kind)
    return folder
