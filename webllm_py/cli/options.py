"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, _ArgumentGroup
from pathlib import Path
from typing import Any

__all__ = [
    "add_adapters",
    "add_gpu",
    "add_model",
    "add_sampling",
    "add_source",
    "count",
    "port",
]


def add_source(parser: ArgumentParser) -> None:
    """What model."""
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="the model (default: the pocket model that comes with webllm_py)",
    )


def add_adapters(parser: ArgumentParser, use: str) -> None:
    """What is loaded beside the model."""
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        type=named_source,
        metavar="[NAME=]SOURCE",
        help=f"a LoRA adapter {use}: PEFT's folder or a GGUF file; repeatable",
    )


def add_sampling(parser: ArgumentParser, max_tokens: str, default: int | None = None) -> None:
    """How tokens are chosen. The engine checks the numbers' ranges."""
    group = parser.add_argument_group("how the text is drawn (default: as the model says)")
    group.add_argument("--temperature", type=float, metavar="T", help="0: the likeliest token")
    group.add_argument("--top-k", type=int, metavar="K", help="from the K likeliest; 0: from all")
    group.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="from the likeliest that together have probability P, 0 to 1",
    )
    group.add_argument(
        "--min-p",
        type=float,
        metavar="P",
        help="from those with at least P times the likeliest's probability, 0 to 1",
    )
    group.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same text")
    group.add_argument("--max-tokens", type=count, default=default, metavar="N", help=max_tokens)


def add_model(parser: ArgumentParser) -> None:
    """How the model is loaded."""
    group = parser.add_argument_group("how the model is loaded")
    group.add_argument(
        "--context",
        "--context-length",  # what errors call it, which name load's argument
        type=count,
        dest="context",
        metavar="N",
        help="tokens that prompt and answer may have (default: what the model was trained for)",
    )
    group.add_argument(
        "--sliding-window",
        type=count,
        metavar="N",
        help="instead of --context: go on past N tokens, of which the oldest then drop out",
    )
    group.add_argument(
        "--attention-sinks",
        type=int,
        metavar="N",
        help="how many of the first tokens stay in a sliding window (default: 4)",
    )
    group.add_argument(
        "--quantize", choices=("q4", "q8"), help="turn float weights into 4 or 8 bits"
    )
    group.add_argument(
        "--kv-dtype",
        choices=("f16", "f32", "q8"),
        default="f16",
        help="type of the KV cache (default: f16)",
    )
    group.add_argument(
        "--vision", metavar="FILE", help="llama.cpp's projector (mmproj) of a GGUF model that sees"
    )
    group.add_argument(
        "--chat-template",
        type=chat_template,
        metavar="FILE",
        help="how conversations are written, instead of what the model's files say: a Jinja "
        "template, or MLC's conv_template as .json",
    )
    group.add_argument(
        "--tune",
        action=BooleanOptionalAction,
        help="take the time to find the fastest kernels for this GPU, or use fixed ones "
        "(default: try for 0.3 s)",
    )


def add_gpu(parser: ArgumentParser) -> None:
    """What it runs on."""
    group: _ArgumentGroup = parser.add_argument_group("the GPU")
    group.add_argument(
        "--device",
        choices=("high-performance", "low-power"),
        default="high-performance",
        help="which one, where there are two (default: high-performance)",
    )
    group.add_argument("--no-f16", action="store_true", help="compute in 32-bit floats only")
    group.add_argument("--no-subgroups", action="store_true", help="do without subgroups")


def count(text: str) -> int:
    """A positive whole number."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def named_source(text: str) -> tuple[str | None, str]:
    """A name, if there is one, and a source."""
    found = re.fullmatch(r"(?:([\w.-]+)=)?(.+)", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not [NAME=]SOURCE")
    return found[1], found[2]


def chat_template(path: str) -> str | dict[str, Any]:
    """A chat template's text, or, of a file with JSON, the object."""
    try:
        text = Path(path).read_text("utf-8")
        found = json.loads(text) if path.endswith(".json") else text
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{path} cannot be used: {error}") from None
    if not isinstance(found, str | dict):
        raise ArgumentTypeError(f"{path} holds no object, as mlc-chat-config.json's conv_template")
    return found


def port(text: str) -> int:
    """A port's number."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number < 2**16:
        raise ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return number


def counts(text: str) -> tuple[int, ...]:
    """Positive whole numbers, separated by commas, each once and in order."""
    return tuple(sorted({count(part) for part in text.split(",")}))
