"""The command line's words."""

from __future__ import annotations

import shutil
import sys
import textwrap
from argparse import (
    ArgumentParser,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from webllm_py import __version__
from webllm_py.cli.options import (
    add_adapters,
    add_gpu,
    add_model,
    add_sampling,
    add_source,
    count,
    counts,
    port,
)
from webllm_py.random_models.recipes import FORMATS
from webllm_py.random_models.shapes import SHAPES

__all__ = ["Formatter", "add_bench", "parse_arguments"]

MOST_COLUMNS = 96
SOURCES = """\
SOURCE is a .gguf file, a Hugging Face folder (config.json, safetensors, tokenizer files) or an
MLC folder: a path, an http(s) address, hf:org/name[@revision][:file] or hf:org/name:Q4_K_M, or
WebLLM's name of a model.
"""
EXAMPLES = """\
examples:
  webllm-py chat                                talk to the small model that comes with it
  webllm-py chat model.gguf --temperature 0.7
  webllm-py complete model.gguf --prompt "Once upon a time" --max-tokens 50 > story.txt
  webllm-py serve model.gguf --port 8000
  webllm-py info hf:Qwen/Qwen2.5-0.5B-Instruct
  webllm-py bench --shape llama-3.2-1b
"""


class Formatter(RawDescriptionHelpFormatter):
    """As wide as the terminal; what is no list of indented lines is filled."""

    def __init__(self, prog: str):
        columns = shutil.get_terminal_size((MOST_COLUMNS, 24)).columns
        wide = min(columns, MOST_COLUMNS)
        super().__init__(prog, max_help_position=30 if wide >= 80 else 24, width=wide)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.rstrip().split("\n\n")
        filled = [part if "\n " in part else textwrap.fill(part, width) for part in paragraphs]
        return super()._fill_text("\n\n".join(filled), width, indent)


class Parser(ArgumentParser):
    """Says in two lines what is wrong: the usage of a command is longer than a terminal."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n`{self.prog} --help` lists what there is.\n")


def parse_arguments(words: Sequence[str] | None = None) -> Namespace:
    """The options of one command; ``command`` is its name.

    Raises:
        SystemExit: as argparse does, for ``--help`` and for wrong words.
    """
    parser = Parser(
        "webllm-py",
        description="Run large language models on this machine's GPU, through WebGPU.",
        epilog=f"{SOURCES}\n{EXAMPLES}",
        formatter_class=Formatter,
    )
    parser.add_argument("--version", action="version", version=f"webllm-py {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text, add in COMMANDS:
        command = commands.add_parser(
            name,
            help=text[0].lower() + text[1:].rstrip("."),
            description=text,
            epilog=SOURCES,
            formatter_class=Formatter,
        )
        add(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    words = sys.argv[1:] if words is None else words
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(2)
    options, unknown = parser.parse_known_args(words)
    if unknown:  # the command's own parser leaves them to the one above it
        command = commands.choices[options.command]
        command.error(f"unrecognized arguments: {' '.join(unknown)}{near_option(command, unknown)}")
    return options


def near_option(parser: ArgumentParser, words: Sequence[str]) -> str:
    """A question for the option that may be meant by one of the words."""
    names = [name for action in parser._actions for name in action.option_strings]
    written = [word.partition("=")[0] for word in words if word.startswith("--")]
    near = [name for word in written for name in get_close_matches(word, names, n=1)]
    return f". Did you mean {near[0]}?" if near else ""


def add_chat(parser: ArgumentParser) -> None:
    """``webllm-py chat``."""
    add_source(parser)
    parser.add_argument("--system", metavar="TEXT", help="instructions that precede the chat")
    add_adapters(parser, "for every answer")
    add_sampling(parser, "tokens that an answer may have (default: to the end of the context)")
    add_model(parser)
    add_gpu(parser)


def add_complete(parser: ArgumentParser) -> None:
    """``webllm-py complete``."""
    add_source(parser)
    parser.add_argument(
        "--prompt",
        default="-",
        metavar="TEXT",
        help="the text to go on with (default: -, which reads it from standard input, without the "
        "end of its last line)",
    )
    parser.add_argument("--echo", action="store_true", help="print the prompt first")
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before this; repeatable"
    )
    add_adapters(parser, "for the text")
    add_sampling(parser, "tokens to generate at most (default: 256)", default=256)
    add_model(parser)
    add_gpu(parser)


def add_serve(parser: ArgumentParser) -> None:
    """``webllm-py serve``."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="the model; of several, requests choose one by its name (default: the pocket model "
        "that comes with webllm_py)",
    )
    parser.set_defaults(source=None)
    add_adapters(parser, "for requests that name it as their model, or in the field adapters")
    group = parser.add_argument_group("the server")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; 0.0.0.0: on every network (default: 127.0.0.1, this machine only)",
    )
    group.add_argument(
        "--port", type=port, default=8080, metavar="N", help="0: any that is free (default: 8080)"
    )
    group.add_argument(
        "--api-key",
        metavar="KEY",
        help="what clients must send (default: the environment's WEBLLM_PY_API_KEY, else nothing)",
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin ask: https://example.org, or * for all; repeatable "
        "(default: no web page may)",
    )
    group.add_argument(
        "--most-waiting",
        type=count,
        default=64,
        metavar="N",
        help="requests that may wait; more are refused with status 429 (default: 64)",
    )
    group.add_argument(
        "--fetch-images",
        action="store_true",
        help="fetch images that requests name by http(s) address, from public addresses only "
        "(default: they must come as data: URLs)",
    )
    add_model(parser)
    add_gpu(parser)


def add_info(parser: ArgumentParser) -> None:
    """``webllm-py info``."""
    add_source(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_model(parser)
    add_gpu(parser)


def add_bench(parser: ArgumentParser) -> None:
    """``webllm-py bench``."""
    add_source(parser)
    model = parser.add_argument_group("the model, if there is no SOURCE")
    model.add_argument(
        "--shape", choices=SHAPES, metavar="NAME", help=f"random weights: {', '.join(SHAPES)}"
    )
    model.add_argument(
        "--format",
        choices=FORMATS,
        metavar="NAME",
        help=f"of the random weights: {', '.join(FORMATS)}",
    )
    model.add_argument(
        "--keep", metavar="PATH", help="where the random model is kept (default: user's cache)"
    )
    what = parser.add_argument_group("what is measured")
    what.add_argument(
        "--prompt-tokens",
        type=counts,
        default=(32, 1024),
        metavar="N,N",
        help="prompt lengths of prefill (default: 32,1024)",
    )
    what.add_argument(
        "--contexts",
        type=counts,
        default=(128, 1024),
        metavar="N,N",
        help="tokens in the context before decoding (default: 128,1024)",
    )
    what.add_argument(
        "--tokens", type=count, default=128, metavar="N", help="tokens to decode (default: 128)"
    )
    what.add_argument(
        "--history",
        type=count,
        default=1000,
        metavar="N",
        help="tokens before a second turn of a conversation (default: 1000)",
    )
    what.add_argument(
        "--together",
        type=count,
        default=8,
        metavar="N",
        help="answers that are decoded together (default: 8)",
    )
    what.add_argument(
        "--runs",
        type=count,
        default=5,
        metavar="N",
        help="runs of each, fewer where one takes long (default: 5)",
    )
    what.add_argument(
        "--profile",
        action="store_true",
        help="also time every kernel: of a decode step at each context, of one of several answers "
        "at the shortest, and of a prefill chunk",
    )
    what.add_argument("--json", action="store_true", help="print JSON")
    add_model(parser)
    add_gpu(parser)


COMMANDS = (
    ("chat", "Talk to a model.", add_chat),
    ("complete", "Go on with a text; standard output gets the new text only.", add_complete),
    ("serve", "Answer over HTTP, as OpenAI's interface does.", add_serve),
    ("info", "Describe a model and the memory that it needs, without loading it.", add_info),
    ("bench", "Measure how fast a model runs here.", add_bench),
)  # fmt: skip
