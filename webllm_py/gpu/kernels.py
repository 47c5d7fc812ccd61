"""From a kernel's name to WGSL text: reads ``kernels/*.wgsl`` and substitutes words.

A kernel file is plain WGSL with a header comment. Sizes are ``override`` constants. The few things
that WGSL cannot override are words, written ``${word}``: the compiler's ``enable`` lines, and
snippets of other files (a quantization reader, an epilogue, a reduction). A word without a value is
an error, and so is a value without its word. A word with a slash in it always stands for the file
of that name: ``${quant/bytes}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from string import Template

__all__ = ["Binding", "Kernel", "Shader", "Variant", "compose", "kernel", "kernels_folder"]


@dataclass(frozen=True)
class Variant:
    """Which WGSL the device's compiler takes.

    Attributes:
        f16: arithmetic in ``f16`` (the feature ``shader-f16``).
        subgroups: the smallest subgroup size of the device; 0 to use no subgroup operations.
        enable_subgroups: write ``enable subgroups;`` (Tint requires it, naga refuses it).
    """

    f16: bool = False
    subgroups: int = 0
    enable_subgroups: bool = True


@dataclass(frozen=True)
class Kernel:
    """A kernel, complete but for the device's variant. Make one with ``kernel``.

    Attributes:
        name: file below ``kernels/``, without its extension.
        snippets: word -> file below ``kernels/`` whose text replaces it.
        overrides: pipeline-overridable constants.
    """

    name: str
    snippets: tuple[tuple[str, str], ...]
    overrides: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Binding:
    """A storage binding of group 0, as the WGSL declares it."""

    name: str
    index: int
    writable: bool


@dataclass(frozen=True)
class Shader:
    """WGSL text ready for the compiler."""

    text: str
    bindings: tuple[Binding, ...]
    overrides: Mapping[str, float]

    def check_buffers(self, kernel_name: str, buffers: Mapping[str, object]) -> None:
        """Raise ValueError unless there is a buffer for each binding and no other."""
        if set(buffers) != {b.name for b in self.bindings}:
            raise ValueError(
                f"kernel {kernel_name} binds {sorted(b.name for b in self.bindings)}, "
                f"given {sorted(buffers)}"
            )


def kernel(
    name: str, *, snippets: Mapping[str, str] | None = None, **overrides: float | bool
) -> Kernel:
    """A kernel by file name, with its snippets and override constants."""
    return Kernel(
        name,
        tuple(sorted((snippets or {}).items())),
        tuple(sorted((key, float(value)) for key, value in overrides.items())),
    )


@cache
def kernels_folder() -> Path:
    """Where the ``.wgsl`` files are: inside the wheel, or at the top of a source checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "kernels", package.parent / "kernels"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no kernels/ folder beside {package}; the installation is incomplete")


@cache
def read_source(name: str) -> str:
    """The text of ``kernels/<name>.wgsl``."""
    return (kernels_folder() / f"{name}.wgsl").read_text("utf-8")


BINDING = re.compile(
    r"@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>\s*(\w+)\s*:"
)
OVERRIDE = re.compile(r"^\s*override\s+(\w+)\s*:\s*\w+\s*(=)?", re.MULTILINE)


class Words(Template):
    """WGSL with words to substitute."""

    idpattern = r"(?a:[_a-z][_a-z0-9/]*)"


def words_of(variant: Variant) -> dict[str, str]:
    """The words whose values depend on the device alone."""
    enables = ["enable f16;"] if variant.f16 else []
    if variant.subgroups and variant.enable_subgroups:
        enables.append("enable subgroups;")
    return {
        "enables": "\n".join(enables),
        "lanes": read_source("lanes/subgroup" if variant.subgroups else "lanes/workgroup"),
    }


@lru_cache(1024)
def compose(kernel: Kernel, variant: Variant) -> Shader:
    """The WGSL of a kernel for one variant, with its bindings and override constants.

    Raises:
        ValueError: a word or constant that the kernel does not have, or one without a value.
    """
    words = words_of(variant)
    snippets = dict(kernel.snippets)
    used: set[str] = set()
    text = read_source(kernel.name)
    while identifiers := set(Words(text).get_identifiers()):
        text = Words(text).substitute(
            {word: replacement(kernel, word, snippets, words) for word in identifiers}
        )
        used |= identifiers
    if unused := set(snippets) - used:
        raise ValueError(f"kernel {kernel.name} does not use {sorted(unused)}")
    bindings = tuple(
        Binding(name, int(index), access == "read_write")
        for index, access, name in BINDING.findall(text)
    )
    if len({b.index for b in bindings}) < len(bindings):
        raise ValueError(f"kernel {kernel.name}: two bindings share a number")
    return Shader(text, bindings, checked_overrides(kernel, text, variant))


def replacement(
    kernel: Kernel, word: str, snippets: Mapping[str, str], words: Mapping[str, str]
) -> str:
    """The text that stands for a word: the kernel's snippet, the device's, or a file's."""
    if word in snippets:
        return read_source(snippets[word])
    if word in words:
        return words[word]
    if "/" in word:
        return read_source(word)
    raise ValueError(f"kernel {kernel.name}: nothing given for the word ${{{word}}}")


def checked_overrides(kernel: Kernel, text: str, variant: Variant) -> dict[str, float]:
    """The kernel's override constants: all that the text declares without a default, and no other
    than it declares."""
    declared = {name: bool(default) for name, default in OVERRIDE.findall(text)}
    given = dict(kernel.overrides)
    if "SUBGROUP" in declared:
        given["SUBGROUP"] = variant.subgroups
    if unknown := set(given) - set(declared):
        raise ValueError(f"kernel {kernel.name} has no constant {sorted(unknown)}")
    if missing := {name for name, default in declared.items() if not default} - set(given):
        raise ValueError(f"kernel {kernel.name}: no value for {sorted(missing)}")
    return given
