"""``webllm-py complete``: goes on with a text. Standard output gets the new text only."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace

from webllm_py.api import parse_completion_request
from webllm_py.cli.opening import adapter_fields, open_engine, sampling_fields
from webllm_py.cli.terminal import printable

__all__ = ["complete"]


def complete(options: Namespace) -> int:
    """Run the command."""
    fields = {
        **sampling_fields(options),
        "prompt": prompt_of(options.prompt),
        "stop": options.stop,
        "echo": options.echo,
    }
    parse_completion_request(fields)  # a wrong number is told before the model is loaded
    asyncio.run(stream(options, fields))
    return 0


def prompt_of(text: str) -> str:
    """The prompt itself, or standard input for "-"; an editor's or echo's last line end is none of
    it."""
    if text != "-":
        return text
    if sys.stdin.isatty():
        print("The text to go on with; Ctrl-D on a new line ends it:", file=sys.stderr)
    return sys.stdin.read().removesuffix("\n")


async def stream(options: Namespace, fields: dict[str, object]) -> None:
    """Load, and write the text as it comes."""
    on_terminal = sys.stdout.isatty()
    async with open_engine(options) as engine:
        pieces = await engine.completions.create(stream=True, **fields, **adapter_fields(engine))
        async with pieces:
            async for piece in pieces:
                text = piece.choices[0].text
                sys.stdout.write(printable(text) if on_terminal else text)
                sys.stdout.flush()
        if on_terminal:
            sys.stdout.write("\n")
