"""The cell magic ``%%llm``: a cell is a question, and its answer is written below it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Coroutine
from typing import Any

from webllm_py.engine import Engine, load
from webllm_py.notebook.answer import show
from webllm_py.notebook.bar import LoadingBar

__all__ = ["LLMMagic", "load_ipython_extension", "unload_ipython_extension"]

NAME = "llm"
DESCRIPTION = """\
Ask a model what the cell says, and write its answer below, as Markdown. Each cell is a conversation
of its own, unless it continues the last one.
"""


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext webllm_py``."""
    magic = LLMMagic(shell)

    def llm(line: str, cell: str) -> Coroutine[Any, Any, None]:
        return magic.ask(line, cell)

    llm.__doc__ = magic.parser.format_help()
    shell.register_magic_function(llm, "cell", NAME)
    shell.input_transformers_post.append(awaited)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext webllm_py``."""
    shell.input_transformers_post.remove(awaited)
    del shell.magics_manager.magics["cell"][NAME]


def awaited(lines: list[str]) -> list[str]:
    """A cell's code where what the magic returns is awaited: IPython's magics are synchronous."""
    call = f"get_ipython().run_cell_magic({NAME!r}, "
    return [f"await {line}" if line.startswith(call) else line for line in lines]


class LLMMagic:
    """What the magic does.

    Attributes:
        messages: the conversation so far.
    """

    def __init__(self, shell: Any):
        self._shell = shell
        self.parser = make_parser()
        self.messages: list[Any] = []

    def ask(self, line: str, cell: str) -> Coroutine[Any, Any, None]:
        """Answer a cell, once this is awaited.

        Raises:
            IPython.core.error.UsageError: the line is wrong, or the cell is empty.
        """
        from IPython.core.error import UsageError

        options = self.parser.parse_argstring(line)
        if not cell.strip():
            raise UsageError(f"%%{NAME} asks what stands below it in the cell: nothing does")
        engine = self._shell.user_ns.get(options.engine)
        if engine is not None and not isinstance(engine, Engine):
            raise UsageError(
                f"{options.engine} is no engine; "
                f"`{options.engine} = await webllm_py.load(...)` makes one"
            )
        return self._answer(engine, cell.strip(), options)

    async def _answer(self, engine: Engine | None, question: str, options: Namespace) -> None:
        names = self._shell.user_ns
        if engine is None:
            engine = names[options.engine] = await load(on_progress=LoadingBar())
        messages = self.messages if options.go_on else []
        if options.system is not None:
            messages = [{"role": "system", "content": options.system}, *messages]
        messages = [*messages, {"role": "user", "content": question}]
        stream = await engine.chat.completions.create(
            messages=messages,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            seed=options.seed,
            stream=True,
            stream_options={"include_usage": True},
        )
        reply = await show(stream)
        self.messages = [*messages, reply.choices[0].message]
        if options.into is not None:
            names[options.into] = reply.choices[0].message.content


def make_parser() -> Any:
    """The magic's options."""
    from IPython.core.magic_arguments import MagicArgumentParser

    parser = MagicArgumentParser(f"%{NAME}", description=DESCRIPTION)
    add = parser.add_argument
    add(
        "-e",
        "--engine",
        default="engine",
        metavar="NAME",
        help="the variable of the model's engine; the pocket model is loaded into it if it is "
        "not there (default: engine)",
    )
    begin = parser.add_mutually_exclusive_group().add_argument
    begin("-c", "--continue", dest="go_on", action="store_true", help="continue the conversation")
    begin("-s", "--system", metavar="TEXT", help="a system message to begin with, in quotes")
    add("-t", "--temperature", type=float, metavar="T", help="0 takes the likeliest token always")
    add("-n", "--max-tokens", type=int, metavar="N", help="end the answer after so many tokens")
    add("--seed", type=int, metavar="N", help="draw the same tokens each time")
    add("-o", "--into", metavar="NAME", help="a variable for the answer's text")
    return parser
