"""How each family of models writes calls: marks and fixed texts around names and arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from webllm_py.chat.pieces import Parser
from webllm_py.chat.tools.json_text import NamedReader, ObjectReader
from webllm_py.chat.tools.python_text import CALL, PythonReader
from webllm_py.chat.tools.reader import CallParser, Reader
from webllm_py.chat.tools.xml_text import XmlReader

__all__ = [
    "COHERE",
    "DEEPSEEK",
    "GENERIC",
    "GRANITE",
    "HERMES",
    "LFM",
    "LLAMA",
    "MISTRAL",
    "MISTRAL_ARGS",
    "OLMO",
    "PHI",
    "PYTHONIC",
    "QWEN_XML",
    "Syntax",
]


PUNCTUATION = ("[", "]", ",", ";", "}")  # of lists around calls, and a brace too many


@dataclass(frozen=True)
class Syntax:
    """A block of calls is ``opening``, a call, more calls each behind ``separator``, ``closing``;
    a call is ``head``, the name, ``middle``, the arguments, ``tail``.

    White space in these texts is optional where no word would fall apart.

    Attributes:
        key: the end of ``head`` where that is JSON, and the name a string in it.
        before: what else may stand between the brace and ``key``, as a regular expression.
        extra: what may stand between the arguments and ``tail``, as a regular expression.
        separator: None where a model writes one call at a time.
        anchored: a call counts as one at the beginning of an answer, without any mark.
        arguments: JSON, or ``a=1, b="x"``, or an element for each.
        wraps: what else may stand around an anchored block, as beginning and end.
        starts: marks behind which calls stand.
        marks: all texts here that may be control tokens of a vocabulary.
        fillers: other texts that models put around calls; read over.
    """

    head: str
    middle: str
    tail: str
    opening: str = ""
    key: str = '"name": "'
    before: str = '("type": ?"function", ?)?'
    extra: str = ""
    separator: str | None = None
    closing: str = ""
    anchored: bool = False
    wraps: tuple[tuple[str, str], ...] = ()
    arguments: Literal["json", "python", "xml"] = "json"
    starts: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    fillers: tuple[str, ...] = ()

    def parser(self, tools: Mapping[str, Any]) -> Parser:
        """Reads answers.

        Args:
            tools: each function's JSON Schema.
        """
        names = frozenset(tools)

        def reader(text: str) -> Reader:
            if self.arguments == "python":
                return PythonReader(names)
            if self.arguments == "xml":
                return XmlReader(tools)
            if text.startswith("{"):
                return ObjectReader(names if self.anchored else None)
            return NamedReader(self.head, self.middle)

        return CallParser(
            self.starts,
            (*self.marks, *self.fillers, *PUNCTUATION),
            reader,
            self._begins,
            anchored=self.anchored,
        )

    def written(self, calls: Sequence[tuple[str, str]]) -> str:
        """Calls as the model would write them, from names and the JSON text of arguments."""
        separator = self.separator or "\n"
        return (
            self.opening
            + separator.join(
                self.head + name + self.middle + self._arguments(arguments) + self.tail
                for name, arguments in calls
            )
            + self.closing
        )

    def _begins(self, text: str) -> bool | None:
        if text.startswith("{") and self.arguments == "json":
            return True
        if self.arguments == "python":
            return bool(CALL.match(text)) or (None if re.fullmatch(r"[\w.-]+", text) else False)
        if self.head.endswith(self.key):
            return False
        head = self.head.strip()
        if not head:
            return bool(re.match(r"[\w.-]", text))
        return text.startswith(head) or (None if head.startswith(text) else False)

    def _arguments(self, text: str) -> str:
        if self.arguments == "json":
            return text
        try:
            values = json.loads(text)
        except ValueError:
            return text
        if not isinstance(values, dict):
            return text
        if self.arguments == "python":
            return ", ".join(f"{key}={_python(value)}" for key, value in values.items())
        return "".join(
            f"<parameter={key}>\n{value if isinstance(value, str) else json.dumps(value)}\n"
            "</parameter>\n"
            for key, value in values.items()
        )


def _python(value: Any) -> str:
    """A value in Python; texts in double quotes, as models are shown them."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


HERMES = Syntax(
    opening="<tool_call>",
    head='\n{"name": "',
    middle='", "arguments": ',
    tail="}\n</tool_call>",
    separator="\n<tool_call>",
    starts=("<tool_call>",),
    marks=("<tool_call>", "</tool_call>"),
)
QWEN_XML = Syntax(
    opening="<tool_call>",
    head="\n<function=",
    middle=">\n",
    tail="</function>\n</tool_call>",
    separator="\n<tool_call>",
    arguments="xml",
    starts=("<tool_call>",),
    marks=("<tool_call>", "</tool_call>"),
)
LLAMA = Syntax(
    head='{"name": "',
    middle='", "parameters": ',
    tail="}",
    anchored=True,
    wraps=(("<|python_tag|>", ""),),
    starts=("<|python_tag|>",),
    marks=("<|python_tag|>",),
)
GENERIC = Syntax(
    head='{"name": "',
    middle='", "arguments": ',
    tail="}",
    separator="\n",
    anchored=True,
    wraps=(("[", "]"), ("```json", "```"), ("<tool_call>", "</tool_call>")),
    starts=("<tool_call>",),
    fillers=("```json", "```", "<tool_call>", "</tool_call>"),
)
PYTHONIC = Syntax(
    opening="[",
    head="",
    middle="(",
    tail=")",
    separator=", ",
    closing="]",
    anchored=True,
    wraps=(("<|python_start|>", "<|python_end|>"), ("<|python_tag|>", "")),
    arguments="python",
    starts=("<|python_start|>",),
    marks=("<|python_start|>", "<|python_end|>", "<|python_tag|>"),
)
MISTRAL = Syntax(
    opening="[TOOL_CALLS] [",
    extra='(, ?"id": ?"[a-zA-Z0-9]{9}")?',
    head='{"name": "',
    middle='", "arguments": ',
    tail="}",
    separator=", ",
    closing="]",
    starts=("[TOOL_CALLS]",),
    marks=("[TOOL_CALLS]",),
)
MISTRAL_ARGS = Syntax(
    opening="[TOOL_CALLS]",
    head="",
    middle="[ARGS]",
    tail="",
    separator="[TOOL_CALLS]",
    starts=("[TOOL_CALLS]",),
    marks=("[TOOL_CALLS]", "[ARGS]"),
)
PHI = Syntax(
    opening="<|tool_call|>[",
    head='{"name": "',
    middle='", "arguments": ',
    tail="}",
    separator=", ",
    closing="]<|/tool_call|>",
    starts=("<|tool_call|>",),
    marks=("<|tool_call|>", "<|/tool_call|>"),
)
GRANITE = replace(PHI, closing="]", marks=("<|tool_call|>",))
COHERE = Syntax(
    opening="<|START_ACTION|>[",
    head='\n    {"tool_name": "',
    key='"tool_name": "',
    before='("tool_call_id": ?"[0-9]{1,3}", ?)?',
    middle='", "parameters": ',
    tail="}",
    separator=",",
    closing="\n]<|END_ACTION|>",
    starts=("<|START_ACTION|>",),
    marks=("<|START_ACTION|>", "<|END_ACTION|>"),
)
OLMO = Syntax(
    opening="<function_calls>",
    head="",
    middle="(",
    tail=")",
    separator="\n",
    closing="</function_calls>",
    arguments="python",
    starts=("<function_calls>",),
    marks=("<function_calls>", "</function_calls>"),
)
LFM = Syntax(
    opening="<|tool_call_start|>[",
    head="",
    middle="(",
    tail=")",
    separator=", ",
    closing="]<|tool_call_end|>",
    arguments="python",
    starts=("<|tool_call_start|>",),
    marks=("<|tool_call_start|>", "<|tool_call_end|>"),
)
DEEPSEEK = Syntax(
    opening="<｜tool▁calls▁begin｜>",
    head="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    middle="\n```json\n",
    tail="\n```<｜tool▁call▁end｜>",
    separator="\n",
    closing="<｜tool▁calls▁end｜>",
    starts=("<｜tool▁calls▁begin｜>",),
    marks=(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁sep｜>",
    ),
    fillers=("```",),
)
