"""``webllm-py chat``: a conversation in the terminal, or over a pipe, one line a message."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from webllm_py.api import parse_chat_request
from webllm_py.cli.answer import Answer, Totals
from webllm_py.cli.conversation import Command, Conversation, read_message, said
from webllm_py.cli.opening import adapter_fields, open_engine, sampling_fields
from webllm_py.cli.terminal import Style, printable
from webllm_py.engine import Engine
from webllm_py.errors import ContextLengthError, DeviceLostError, WebLLMError
from webllm_py.units import count, counted, significant, size

__all__ = ["Chat", "chat"]

HELP = """\
/image FILE    show the model an image with the next message; an address will do
/system TEXT   give the model instructions; without TEXT, take them back
/clear         begin a new conversation
/stats         tokens, speed and memory so far
/exit          leave, as Ctrl-D does

A \\ at the end of a line continues it; \"\"\" begins and ends several lines.
A message that begins with a slash is written with two."""


def chat(options: Namespace) -> int:
    """Run the command."""
    fields = sampling_fields(options)
    # A wrong number is told before the model is loaded.
    parse_chat_request({**fields, "messages": [{"role": "user", "content": ""}]})
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            engine = runner.run(stack.enter_async_context(open_engine(options)))
            _ = engine.loaded  # raises where the model writes nothing
            fields |= adapter_fields(engine)
            conversation = Chat(engine, runner, fields, options.system)
            conversation.run()
        finally:
            runner.run(stack.aclose())
    return conversation.exit_code


class Chat:
    """The loop: read a message, stream the answer, say how fast it was.

    The event loop runs only while the engine works, so that reading a line may block and Ctrl-C
    there is Python's own ``KeyboardInterrupt``.

    Args:
        fields: of every request: how tokens are chosen.
    """

    def __init__(
        self, engine: Engine, runner: asyncio.Runner, fields: dict[str, Any], system: str | None
    ):
        self.engine = engine
        self.runner = runner
        self.fields = fields
        self.conversation = Conversation(system)
        self.on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self.style = Style.of(sys.stdout)
        self.totals = Totals()
        self.interrupted = self.leaving = False
        self.failed = False

    @property
    def exit_code(self) -> int:
        """0; for a script that pipes messages 1, if one of them got no answer."""
        return int(self.failed and not self.on_terminal)

    def run(self) -> None:
        """Until the input ends, ``/exit``, or Ctrl-C twice."""
        if self.on_terminal:
            with suppress(ImportError):  # Windows has none, and its own line editing
                import readline  # noqa: F401 - editing and history for input()
            self.greet()
        while True:
            try:
                message = read_message(self.read_line)
            except EOFError:
                break
            except KeyboardInterrupt:
                if self.interrupted or not self.on_terminal:
                    break
                self.interrupted = True
                self.note("\nCtrl-C once more leaves")
                continue
            self.interrupted = False
            command = Command.of(message)
            if command is None and message:
                self.respond(said(message))
            elif command and not self.obey(command):
                return
        if self.on_terminal:
            print()

    def read_line(self, goes_on: bool) -> str:
        """A line of input, without its end."""
        if not self.on_terminal:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            return line.removesuffix("\n")
        # readline counts columns: \001 and \002 tell it what takes none.
        start, end = ("\001\033[1;36m\002", "\001\033[0m\002") if self.style.colour else ("", "")
        return input(f"{start}{'... ' if goes_on else '>>> '}{end}")

    def greet(self) -> None:
        """Which model runs where."""
        info = self.engine.info
        model = f"{info['architecture']}, {count(info['parameters'])} parameters"
        print(f"{self.style.bold(printable(info['name']))} {self.style.dim(f'· {model}')}")
        self.note(f"{info['quantization']} on {info['adapter']}")
        if self.engine.adapters:
            self.note(f"with {', '.join(self.engine.adapters)}")
        self.note("/help shows what else can be typed. Ctrl-C stops an answer, Ctrl-D leaves.\n")

    def note(self, text: str) -> None:
        """A remark of the program, on a terminal only."""
        if self.on_terminal:
            print(self.style.dim(text))

    def obey(self, command: Command) -> bool:
        """Do what a command says; False leaves."""
        match command.name:
            case "exit" | "quit" | "bye":
                return False
            case "help" | "?":
                print(HELP)
            case "image":
                self.show(command.rest.strip("'\""))
            case "clear":
                self.conversation.clear()
                self.note("a new conversation")
            case "system":
                self.conversation.system = command.rest or None
                held = "the instructions hold" if command.rest else "no instructions"
                self.note(f"{held} from the next answer on")
            case "stats":
                print(self.stats())
            case _:
                print(f"there is no /{command.name}; /help lists what there is")
        self.note("")
        return True

    def show(self, image: str) -> None:
        """Let an image go with the next message."""
        is_address = image.startswith(("http://", "https://"))
        path = Path(image).expanduser()
        if self.engine.info["vision"] is None:
            print("this model reads text only; one that sees is SmolVLM, or Gemma 3")
        elif not is_address and not path.is_file():
            print(f"there is no file {image!r}")
        else:
            self.conversation.images.append(image if is_address else path)
            self.note(f"{path.name} goes with the next message")

    def respond(self, message: str) -> None:
        """Answer a message. What goes wrong is shown, and the conversation is as before."""
        self.conversation.ask(message)
        answer = Answer(self.style, self.on_terminal)
        try:
            with answering(self.interrupt):
                self.runner.run(answer.stream(self.engine, self.conversation.messages, self.fields))
        except WebLLMError as error:
            self.conversation.answer("")
            if answer.text:
                answer.end_line()
            self.explain(error)
            return
        finally:
            self.interrupted = False
        self.conversation.answer(answer.text)
        answer.end_line()
        if answer.usage:
            self.totals.add(answer.usage)
        self.note(answer.summary() + "\n")

    def interrupt(self) -> None:
        """Ctrl-C during an answer; a second one does not wait for the engine, nor a third one for
        the event loop. Raised anywhere, the exception could be in place of a task's next step: that
        task would never end, and leaving would wait for it."""
        if self.leaving:
            raise KeyboardInterrupt
        if self.interrupted:
            self.leaving = True
            self.runner.get_loop().call_soon_threadsafe(leave)
            return
        self.interrupted = True
        self.engine.interrupt()

    def explain(self, error: WebLLMError) -> None:
        """One line, and what to do; a lost device is replaced."""
        self.failed = True
        style = Style.of(sys.stderr)
        print(f"{style.red('error:')} {printable(str(error))}", file=sys.stderr)
        if isinstance(error, ContextLengthError):
            self.note("/clear begins a new conversation")
        if isinstance(error, DeviceLostError):
            self.note("loading the model again ...")
            self.runner.run(self.engine.recover())
        self.note("")

    def stats(self) -> str:
        """Tokens, speed and memory so far."""
        info, totals = self.engine.info, self.totals
        lines = [
            f"context    {totals.in_context:,} of {info['context_length']:,} tokens",
            f"answers    {totals.answers:,}, {counted(totals.tokens, 'token')}",
        ]
        if totals.decode_rate:
            lines.append(f"speed      {significant(totals.decode_rate)} tokens/s")
        lines.append(f"GPU memory {size(info['gpu_memory'])}")
        return "\n".join(lines)


def leave() -> None:
    raise KeyboardInterrupt


@contextmanager
def answering(interrupt: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls ``interrupt`` rather than cancelling what runs."""

    def handler(number: int, frame: FrameType | None) -> None:
        interrupt()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
