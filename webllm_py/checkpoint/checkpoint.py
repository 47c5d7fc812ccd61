"""A checkpoint of any file format: hyper-parameters, named tensors as byte ranges, tokenizer.

No tensor is read here; ``TensorInfo`` says where its bytes lie, and the loader in ``runtime``
streams them to the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from webllm_py.fetch.source import ByteSource, VerifiedSource

__all__ = [
    "BARE",
    "FLOAT8",
    "FORMATS",
    "WORDS",
    "Checkpoint",
    "TensorFormat",
    "TensorInfo",
    "VisionPart",
]

BARE = "embed_tokens.weight"
"""A tensor of a decoder that was saved without its head, as those that embed are."""


@dataclass(frozen=True)
class TensorFormat:
    """How a tensor's elements are stored: ``block_bytes`` for each ``block_size`` of a row.

    Rows follow one another. ``by_columns``: the first blocks of all rows do, word by word (the
    first of each row, then the second), then all second blocks, and so on. A block may be of
    ``block_rows`` rows of a matrix that it belongs to.
    """

    name: str
    block_size: int
    block_bytes: int
    by_columns: bool = False
    block_rows: int = 1

    def nbytes(self, elements: int) -> int:
        """Bytes of a number of elements (a multiple of ``block_size``)."""
        return elements // self.block_size * self.block_bytes

    def blocks(self, columns: int) -> int:
        """Blocks of a row; the last one may be wider than what is left."""
        return -(-columns // self.block_size)


# Names and block layouts of the GGUF specification (ggml's type table): what a block holds is told
# by kernels/repack.
FORMATS: Mapping[str, TensorFormat] = {
    f.name: f
    for f in (
        TensorFormat("F32", 1, 4),
        TensorFormat("F16", 1, 2),
        TensorFormat("BF16", 1, 2),
        TensorFormat("Q4_0", 32, 18),
        TensorFormat("Q4_1", 32, 20),
        TensorFormat("Q5_0", 32, 22),
        TensorFormat("Q5_1", 32, 24),
        TensorFormat("Q8_0", 32, 34),
        TensorFormat("Q2_K", 256, 84),
        TensorFormat("Q3_K", 256, 110),
        TensorFormat("Q4_K", 256, 144),
        TensorFormat("Q5_K", 256, 176),
        TensorFormat("Q6_K", 256, 210),
        TensorFormat("IQ4_NL", 32, 18),
        TensorFormat("IQ4_XS", 256, 136),
        TensorFormat("MXFP4", 32, 17),
    )
}

# What codes of safetensors are packed into, and floats whose scales are another tensor; see
# checkpoint/quantized.py.
WORDS = TensorFormat("I32", 1, 4)
FLOAT8 = TensorFormat("F8_E4M3", 1, 1)


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its shape outermost dimension first (as numpy has it) and where its bytes lie.

    Attributes:
        companions: tensors that belong to the elements of this one: "scales" and "zeros" of groups
            of a row's columns, "tiles" for scales of several rows too.
    """

    name: str
    shape: tuple[int, ...]
    format: TensorFormat
    source: ByteSource
    offset: int
    nbytes: int
    companions: Mapping[str, TensorInfo] = field(default_factory=dict)

    @property
    def stored_bytes(self) -> int:
        """Bytes of its elements and of its companions'."""
        return self.nbytes + sum(tensor.nbytes for tensor in self.companions.values())

    def fitted(self, shape: tuple[int, ...]) -> TensorInfo:
        """This tensor with rows of another length, if as many whole blocks hold them; else itself.

        Files that store nothing but whole blocks do not say how long their rows were.
        """
        if (
            self.format.block_size == 1
            or len(shape) != 2
            or shape[0] != self.shape[0]
            or self.format.blocks(shape[1]) != self.format.blocks(self.shape[1])
        ):
            return self
        return replace(self, shape=shape)


@dataclass(frozen=True)
class VisionPart:
    """The part of a model that sees.

    Attributes:
        kind, architecture, metadata, tensors: as ``Checkpoint`` has them; metadata is of the whole
            model.
        preprocessor: how images are prepared: preprocessor_config.json, or what it would say.
    """

    kind: Literal["gguf", "huggingface", "mlc"]
    architecture: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    preprocessor: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A model's files, opened and checked, nothing yet loaded.

    Attributes:
        kind: which kind of file it came from.
        name: a short name for the model (GGUF's general.name, or the folder's or file's name).
        architecture: as the file names it: GGUF's general.architecture ("llama", "qwen2") or
            config.json's model_type.
        metadata: GGUF's key-value pairs, or config.json (for MLC: what it would say).
        tensors: by the name that the file uses.
        files: the small text files that lie beside the weights of a folder (tokenizer.json,
            tokenizer_config.json, generation_config.json, ...), empty for GGUF.
        chat_template: Jinja source of the chat template, if the files have one.
        conversation: MLC's conv_template, for where there is no Jinja template.
        named_templates: further templates by name ("tool_use", "rag"), where the files have them.
        sources: everything opened; ``close`` closes them.
        vision: of a model that reads images too, what reads them; ``tensors`` has the others.
    """

    kind: Literal["gguf", "huggingface", "mlc"]
    name: str
    architecture: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    files: Mapping[str, bytes] = field(default_factory=dict)
    chat_template: str | None = None
    named_templates: Mapping[str, str] = field(default_factory=dict)
    conversation: Mapping[str, Any] | None = None
    sources: tuple[ByteSource, ...] = ()
    vision: VisionPart | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, as stored."""
        return sum(t.stored_bytes for t in self.tensors.values())

    async def verify(self) -> bool:
        """Compare the digests of the files that have one, once their tensors have been read, and
        see that all is kept where files are; whether bytes changed since: then read them again.

        Raises:
            CorruptCheckpointError: a file is damaged; says which.
            SourceError: the bytes cannot be had.
        """
        verified = [source for source in self.sources if isinstance(source, VerifiedSource)]
        return any([await source.verify() for source in verified])

    async def make_room(self) -> None:
        """See that what is downloaded can be kept, before it is.

        Raises:
            StorageFullError: it cannot; says how much is missing.
        """
        kept = [source for source in self.sources if isinstance(source, VerifiedSource)]
        keepers = [source.keeper for source in kept if source.keeper]
        if keepers:
            await keepers[0].make_room(sum([await source.missing_bytes() for source in kept]))

    async def close(self) -> None:
        """Close every source."""
        for source in self.sources:
            await source.close()
