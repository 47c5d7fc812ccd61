"""Single fields of a request, or a few that belong together: checked, in their normal form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from webllm_py.api.checks import (
    boolean,
    decimal,
    fail,
    integer,
    mapping,
    refuse_unknown,
    text,
    wrong_type,
)

if TYPE_CHECKING:
    from webllm_py.grammar import Grammar

__all__ = [
    "MAX_CHOICES",
    "MAX_TOKENS",
    "best_of",
    "chat_logprobs",
    "chat_max_tokens",
    "completion_logprobs",
    "grammar",
    "include_usage",
    "prompt_ending",
    "resumable",
    "stop_strings",
    "switch",
    "timeout",
]

MAX_CHOICES = 128  # OpenAI's limit on n
MAX_LOGPROBS = 20  # OpenAI's limit in a chat
MAX_TOKENS = 2**31 - 1
MAX_NAME = 100
MAX_STOPS = 128  # OpenAI allows 4; local programs use more
MAX_STOP_CHARACTERS = 4096  # together: each is a state of the automaton that every choice has


def switch(present: Mapping[str, Any], name: str, default: bool | None) -> bool | None:
    """A field that is true or false."""
    return boolean(present[name], name) if name in present else default


def stop_strings(value: Any) -> tuple[str, ...]:
    """``stop``: one string or several."""
    if isinstance(value, str):
        found: tuple[str, ...] = (text(value, "stop", empty=False),)
    elif not isinstance(value, list | tuple):
        wrong_type("stop", "a string or a list of strings", value)
    elif len(value) > MAX_STOPS:
        fail("stop", f"holds {len(value)} strings; {MAX_STOPS} are allowed.")
    else:
        found = tuple(text(stop, f"stop[{i}]", empty=False) for i, stop in enumerate(value))
    characters = sum(map(len, found))
    if characters > MAX_STOP_CHARACTERS:
        fail("stop", f"holds {characters} characters; {MAX_STOP_CHARACTERS} are allowed.")
    return found


def include_usage(present: Mapping[str, Any], stream: bool) -> bool:
    """``stream_options.include_usage``."""
    if "stream_options" not in present:
        return False
    if not stream:
        fail("stream_options", "needs 'stream' to be true.")
    options = mapping(present["stream_options"], "stream_options")
    refuse_unknown(options, ["include_usage", "include_obfuscation"], "stream_options")
    given = {
        name: boolean(value, f"stream_options.{name}")
        for name, value in options.items()
        if value is not None
    }
    if given.get("include_obfuscation"):
        param = "stream_options.include_obfuscation"
        fail(param, "is not supported yet.", code="unsupported_parameter")
    return given.get("include_usage", False)


def grammar(present: Mapping[str, Any]) -> Grammar | None:
    """``response_format``, or llama.cpp's ``grammar``."""
    names = [name for name in ("response_format", "grammar") if name in present]
    if not names:
        return None
    # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
    from webllm_py.api.formats import parse_grammar, parse_response_format

    grammars = {"response_format": parse_response_format, "grammar": parse_grammar}
    found = {name: grammar for name in names if (grammar := grammars[name](present[name]))}
    if len(found) > 1:
        fail("grammar", "cannot be combined with 'response_format'; give one of them.")
    for name in found:
        if present.get("ignore_eos"):
            fail("ignore_eos", f"cannot be combined with '{name}': its texts come to an end.")
    return next(iter(found.values()), None)


def timeout(present: Mapping[str, Any]) -> float | None:
    """Seconds; None for as long as it takes."""
    if "timeout" not in present:
        return None
    return decimal(present["timeout"], "timeout", low=1e-3, high=10**9)


def resumable(present: Mapping[str, Any]) -> bool | str:
    """Whether the answer is kept to be finished after a crash, and under which name; true for its
    own id."""
    value = present.get("resumable", False)
    wanted: bool | str
    if isinstance(value, str):
        wanted = text(value, "resumable", empty=False)
        if len(wanted) > MAX_NAME:
            fail("resumable", f"is a name of {len(wanted)} characters; {MAX_NAME} are allowed.")
    else:
        wanted = boolean(value, "resumable")
    for other in ("logits_processors", "steering") if wanted else ():
        if other in present:
            fail("resumable", f"cannot be combined with {other!r}, which cannot be kept.")
    return wanted


def chat_max_tokens(present: Mapping[str, Any]) -> int | None:
    """``max_completion_tokens`` is OpenAI's newer name of ``max_tokens``."""
    given = {
        name: integer(present[name], name, low=1, high=MAX_TOKENS)
        for name in ("max_completion_tokens", "max_tokens")
        if name in present
    }
    if len(set(given.values())) > 1:
        fail("max_tokens", "differs from 'max_completion_tokens'; give one of them.")
    return next(iter(given.values()), None)


def chat_logprobs(present: Mapping[str, Any]) -> int | None:
    """``logprobs`` says whether, ``top_logprobs`` how many alternatives."""
    wanted = switch(present, "logprobs", False)
    if "top_logprobs" not in present:
        return 0 if wanted else None
    top = integer(present["top_logprobs"], "top_logprobs", low=0, high=MAX_LOGPROBS)
    if not wanted:
        fail("top_logprobs", "needs 'logprobs' to be true.")
    return top


def completion_logprobs(present: Mapping[str, Any]) -> int | None:
    """How many alternatives, as OpenAI has it; or as in a chat, as WebLLM has it."""
    value = present.get("logprobs")
    if value is None or isinstance(value, bool):
        return chat_logprobs(present)
    if "top_logprobs" in present:
        fail("top_logprobs", "is for a 'logprobs' of true; here that says how many.")
    return integer(value, "logprobs", low=0, high=MAX_LOGPROBS)


def best_of(present: Mapping[str, Any], n: int, stream: bool, resumable: bool | str) -> int:
    """How many choices to make of a prompt, at least ``n``."""
    made = integer(present.get("best_of", n), "best_of", low=1, high=MAX_CHOICES)
    if made < n:
        fail("best_of", f"must be at least 'n', which is {n}.")
    if made > n and stream:
        fail("best_of", "cannot be combined with 'stream': which are best shows in the end.")
    if made > n and resumable:
        fail("resumable", "cannot be combined with 'best_of': it would end as a stream.")
    return made


def prompt_ending(
    present: Mapping[str, Any], messages: Sequence[dict[str, Any]]
) -> tuple[bool, bool]:
    """How the prompt ends: ``add_generation_prompt`` and ``continue_final_message``, as vLLM has
    them; who says the second need not say the first."""
    name = "continue_final_message"
    continues = bool(switch(present, name, False))
    opens = bool(switch(present, "add_generation_prompt", not continues))
    if continues and opens:
        fail(name, "cannot be combined with 'add_generation_prompt'; give one of them.")
    last = messages[-1]
    if continues and (last["role"] != "assistant" or not last["content"] or "tool_calls" in last):
        fail(name, "needs a last message of the role 'assistant', with a text and no tool calls.")
    return opens, continues
