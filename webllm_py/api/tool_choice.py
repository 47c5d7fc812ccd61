"""``tool_choice`` and ``parallel_tool_calls``: which functions an answer may, or must, call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webllm_py.api.checks import boolean, fail, items, mapping, one_of, refuse_unknown, text
from webllm_py.api.messages import parse_tools
from webllm_py.chat import CallRules

__all__ = ["parse_tool_fields"]

Json = dict[str, Any]

NAME = "tool_choice"


def parse_tool_fields(present: Mapping[str, Any]) -> tuple[tuple[Json, ...], CallRules]:
    """The tools that the model sees, and the calls that it may make.

    With ``tool_choice: "none"`` it sees none: a model that does not know of a tool does not call
    it. With a choice of some it sees all.

    Raises:
        RequestError: naming the place, as in ``tool_choice.function.name``.
    """
    tools = parse_tools(present["tools"]) if "tools" in present else ()
    strict = frozenset(t["function"]["name"] for t in tools if t["function"].pop("strict", False))
    parallel = boolean(present.get("parallel_tool_calls", True), "parallel_tool_calls")
    choice = present.get(NAME, "auto")
    if isinstance(choice, Mapping):
        mode, names, parallel = _chosen(mapping(choice, NAME), parallel)
    else:
        mode, names = one_of(choice, NAME, ["auto", "none", "required"]), None
    if mode == "none":
        return (), CallRules()
    functions = [tool["function"] for tool in tools]
    if mode == "required" and not functions:
        fail(NAME, "asks for a call, but there are no 'tools'.")
    if mode == "required" and present.get("ignore_eos"):
        fail("ignore_eos", "cannot be combined with a call that is required: it comes to an end.")
    if names is not None:
        functions = _named(functions, names)
    return tools, CallRules(tuple(functions), mode == "required", parallel, strict)


def _chosen(choice: Json, parallel: bool) -> tuple[str, list[str] | None, bool]:
    """The mode, the names and whether there may be several, of a choice that is an object."""
    kind = one_of(choice.get("type"), f"{NAME}.type", ["function", "allowed_tools"])
    refuse_unknown(choice, ["type", kind], NAME)
    if kind == "function":
        return "required", [_name(choice, NAME)], False
    param = f"{NAME}.allowed_tools"
    allowed = mapping(choice.get("allowed_tools"), param)
    refuse_unknown(allowed, ["mode", "tools"], param)
    mode = one_of(allowed.get("mode"), f"{param}.mode", ["auto", "required"])
    tools = items(allowed.get("tools"), f"{param}.tools")
    if not tools:
        fail(f"{param}.tools", "must hold at least one tool.")
    names = []
    for i, tool in enumerate(tools):
        entry = mapping(tool, f"{param}.tools[{i}]")
        refuse_unknown(entry, ["type", "function"], f"{param}.tools[{i}]")
        one_of(entry.get("type"), f"{param}.tools[{i}].type", ["function"])
        names.append(_name(entry, f"{param}.tools[{i}]"))
    return mode, names, parallel


def _name(entry: Mapping[str, Any], param: str) -> str:
    function = mapping(entry.get("function"), f"{param}.function")
    refuse_unknown(function, ["name"], f"{param}.function")
    return text(function.get("name"), f"{param}.function.name", empty=False)


def _named(functions: Sequence[Json], names: Sequence[str]) -> list[Json]:
    known = {function["name"]: function for function in functions}
    for name in names:
        if name not in known:
            fail(NAME, f"names {name[:64]!r}, which is not among the 'tools'.")
    return [known[name] for name in dict.fromkeys(names)]
