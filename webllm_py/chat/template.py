"""Chat templates: the Jinja text in a checkpoint that turns a conversation into a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from traceback import walk_tb
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from webllm_py.chat.plain import NotPlainError, to_plain
from webllm_py.errors import TemplateError

if TYPE_CHECKING:
    from webllm_py.chat.budget import Limits

__all__ = ["ChatTemplate", "Template"]

MAX_SOURCE = 1 << 18  # characters; the longest known template has a tenth of it


class Template(Protocol):
    """What renders conversations: ``ChatTemplate``, or MLC's ``ConversationTemplate``.

    Attributes:
        source: its text.
        stop: texts at which an answer ends.
        ends: tokens that end it, whatever the tokenizer says.
    """

    source: str
    stop: tuple[str, ...]
    ends: frozenset[int]

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables that it looks at."""

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        /,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt of a conversation."""


class ChatTemplate:
    """A compiled chat template, as transformers' ``apply_chat_template`` runs it.

    The template is a program from the internet, so it runs in a sandbox: it sees JSON values
    only, reaches no Python object, loads no file, and its work is bounded (``Limits``: steps,
    seconds, size of values, depth of calls). What it breaks, it breaks for itself: every failure
    is a ``TemplateError`` with the line.

    Templates get ``raise_exception``, ``strftime_now``, ``tojson`` with transformers' arguments,
    ``{% generation %}``, and ``{% break %}`` and ``{% continue %}``.
    """

    def __init__(
        self,
        source: str,
        *,
        bos_token: str = "",
        eos_token: str = "",
        special_tokens: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = datetime.now,
        limits: Limits | None = None,
    ) -> None:
        """
        Args:
            source: the Jinja text.
            bos_token, eos_token: texts of the tokens, as templates write them into the prompt.
            special_tokens: more of them by name: ``pad_token``, ``unk_token``.
            clock: tells ``strftime_now`` the local time.
            limits: how much work one rendering may do.

        Raises:
            TemplateError: the text is no Jinja template that this environment can run.
        """
        # Jinja takes a moment to import in Pyodide; only a chat needs it.
        from webllm_py.chat.budget import Limits
        from webllm_py.chat.sandbox import ChatEnvironment

        if len(source) > MAX_SOURCE:
            raise TemplateError(
                f"The chat template has {len(source)} characters; {MAX_SOURCE} are allowed."
            )
        self.source = source
        self.stop: tuple[str, ...] = ()
        self.ends: frozenset[int] = frozenset()
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token, **(special_tokens or {})}
        self._limits = limits or Limits()
        self._environment = ChatEnvironment(
            {"raise_exception": _raise_exception, "strftime_now": _strftime(clock)}
        )
        try:
            self._template = self._environment.compile_metered(source)
        except Exception as error:
            # Whatever a hostile text does to lexer, parser and compiler: RecursionError for deep
            # nesting, SyntaxError, MemoryError, ValueError for a number of a million digits.
            line = getattr(error, "lineno", None)
            raise TemplateError(
                f"The chat template cannot be used{_line(line)}: {_reason(error)}"
            ) from error

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names of the variables that the template looks at, special tokens and messages too."""
        return self._environment.variables(self.source)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        /,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt of a conversation.

        It holds all special tokens that the model wants, BOS included: turn it into ids without
        adding any.

        Args:
            messages: handed to the template as they are; ``PromptBuilder`` brings
                those of a request into the form that templates expect.
            tools: function descriptions, in OpenAI's form.
            add_generation_prompt: end with the opening of the model's turn.
            variables: anything else that the template knows, as ``enable_thinking``; JSON values.

        Raises:
            TemplateError: the template refused the conversation (with its own words), failed,
                or did more work than it may.
        """
        values: dict[str, Any] = {
            **self._tokens,
            **variables,
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
        }
        if tools:
            values["tools"] = tools
        try:
            plain = to_plain(values)
        except NotPlainError as error:
            raise TemplateError(f"The chat template cannot be given {error}.") from None
        try:
            # As transformers does it: what is not there is None.
            return self._run({"tools": None, "documents": None, **plain})
        except TypeError as error:
            # A template that goes through the tools without looking whether there are any: as
            # huggingface.js does it, what is not there is undefined, which has no items.
            try:
                return self._run(plain)
            except Exception:
                self._fail(error)
        except Exception as error:  # a template can run into any exception that Python has
            self._fail(error)

    def _run(self, values: Mapping[str, Any]) -> str:
        from webllm_py.chat.budget import spending

        with spending(self._limits):
            return self._template.render(values)

    def _fail(self, error: Exception) -> NoReturn:
        line = _template_line(error.__traceback__)
        if isinstance(error, _RefusedError):
            raise TemplateError(f"{error} (the chat template{_line(line)})") from None
        raise TemplateError(f"The chat template failed{_line(line)}: {_reason(error)}") from error


class _RefusedError(Exception):
    """A template's own ``raise_exception``."""


def _raise_exception(message: Any) -> NoReturn:
    raise _RefusedError(str(message))


def _strftime(clock: Callable[[], datetime]) -> Callable[[str], str]:
    def strftime_now(form: str) -> str:
        """C libraries can pad a date to any width; templates do not need it."""
        if len(form) > 200 or re.search(r"%[^a-zA-Z%]*\d", form):
            raise TemplateError("asks for a date in a form that is not supported")
        return clock().strftime(form)

    return strftime_now


def _template_line(trace: TracebackType | None) -> int | None:
    """The innermost line of the template in a traceback; Jinja names its file so."""
    lines = [line for frame, line in walk_tb(trace) if frame.f_code.co_filename == "<template>"]
    return lines[-1] if lines else None


def _line(line: int | None) -> str:
    return f" in line {line}" if line else ""


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateError):
        return f"it {error}."
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    return f"{error or type(error).__name__}"
