"""Chat and text completion requests: every field checked, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webllm_py.api.checks import (
    boolean,
    fail,
    integer,
    items,
    json_object,
    mapping,
    one_of,
    refuse_unknown,
    text,
    wrong_type,
)
from webllm_py.api.fields import CHAT_FIELDS, COMPLETION_FIELDS, request_fields
from webllm_py.api.messages import parse_messages
from webllm_py.api.sampling import MAX_TOKEN_ID, parse_sampling
from webllm_py.chat import CallRules
from webllm_py.runtime.settings import SamplingSettings

if TYPE_CHECKING:
    from webllm_py.grammar import Grammar

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "GenerationRequest",
    "parse_chat_request",
    "parse_completion_request",
    "texts_or_token_ids",
]

MAX_CHOICES = 128  # OpenAI's limit on n
MAX_STOPS = 128  # OpenAI allows 4; local programs use more
MAX_TOKENS = 2**31 - 1
COMPLETION_TOKENS = 16  # OpenAI's default max_tokens of a text completion
REASONING_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
TEMPLATE_ARGUMENTS = ("messages", "tools", "add_generation_prompt")  # filled from other fields


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What chat and text completion have in common.

    Attributes:
        model: the name that was asked for, or None.
        n: how many choices, >= 1.
        max_tokens: most tokens of a choice; None goes on to the end of the context. 0 is allowed
            for text completions (with ``echo`` it returns the prompt).
        stop: strings that end the text and are not part of it.
        ignore_eos: do not end at an end-of-text token.
        prompt_lookup: whether tokens may be guessed from the text so far and verified several at a
            time, where that is faster; the text is the same.
        stream: whether the answer is wanted in pieces.
        include_usage: whether a stream ends with a piece that holds the usage.
        sampling: how tokens are chosen.
        grammar: what a choice's text must be; None for any text.
    """

    model: str | None = None
    n: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    prompt_lookup: bool = True
    stream: bool = False
    include_usage: bool = False
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    grammar: Grammar | None = None

    def check_vocabulary(self, size: int) -> None:
        """Refuse token ids that a vocabulary of ``size`` tokens does not have.

        Raises:
            RequestError: naming the field.
        """
        for token in self.sampling.logit_bias:
            if token >= size:
                fail("logit_bias", f"has token id {token}; this model's are 0 to {size - 1}.")


@dataclass(frozen=True, kw_only=True)
class ChatRequest(GenerationRequest):
    """A chat completion request.

    Attributes:
        messages: the conversation, in the normal form that ``webllm_py.api.messages`` describes.
        tools: functions shown to the model; empty if none, or with ``tool_choice: "none"``.
        calls: which of them the answer may, or must, call.
        template_kwargs: variables for the chat template (``chat_template_kwargs``,
            ``reasoning_effort``), which it has to know.
        enable_thinking: WebLLM's switch; None leaves it to the model. Models that do not think
            answer as they always do.
    """

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    calls: CallRules = field(default_factory=CallRules)
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    enable_thinking: bool | None = None


@dataclass(frozen=True, kw_only=True)
class CompletionRequest(GenerationRequest):
    """A text completion request.

    Attributes:
        prompts: each a text or token ids; every one gets ``n`` choices, numbered in this order.
        echo: whether the text starts with the prompt.
    """

    prompts: tuple[str | tuple[int, ...], ...]
    echo: bool = False

    def check_vocabulary(self, size: int) -> None:
        super().check_vocabulary(size)
        for prompt in self.prompts:
            if not isinstance(prompt, str):
                for token in prompt:
                    if token >= size:
                        fail("prompt", f"has token id {token}; this model's are 0 to {size - 1}.")


def parse_chat_request(
    fields: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None
) -> ChatRequest:
    """Check the fields of a chat completion request and fill in the defaults.

    Args:
        fields: as OpenAI's interface names them, from JSON or from Python.
        defaults: the model's own sampling settings (``sampling_defaults``), for absent fields.

    Raises:
        RequestError: a field that is missing, unknown, not supported yet or wrong; nothing is
            dropped silently. ``param`` says where, as in ``messages[1].content``.
    """
    present = request_fields(fields, CHAT_FIELDS, elsewhere=COMPLETION_FIELDS)
    if "messages" not in present:
        fail("messages", "is missing.", code="missing_required_parameter")
    kwargs = _template_kwargs(present)
    tools, calls = _tools(present)
    return ChatRequest(
        messages=parse_messages(present["messages"]),
        tools=tools,
        calls=calls,
        enable_thinking=_enable_thinking(present, kwargs),
        template_kwargs=kwargs,
        max_tokens=_chat_max_tokens(present),
        **_generation(present, defaults),
    )


def parse_completion_request(
    fields: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None
) -> CompletionRequest:
    """Check the fields of a text completion request and fill in the defaults.

    Arguments and errors are those of ``parse_chat_request``.
    """
    present = request_fields(fields, COMPLETION_FIELDS, elsewhere=CHAT_FIELDS)
    if "prompt" not in present:
        fail("prompt", "is missing.", code="missing_required_parameter")
    max_tokens = present.get("max_tokens", COMPLETION_TOKENS)
    return CompletionRequest(
        prompts=texts_or_token_ids(present["prompt"], "prompt")[0],
        echo=bool(_switch(present, "echo", False)),
        max_tokens=integer(max_tokens, "max_tokens", low=0, high=MAX_TOKENS),
        **_generation(present, defaults),
    )


def _generation(present: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    stream = bool(_switch(present, "stream", False))
    return {
        "model": text(present["model"], "model") if "model" in present else None,
        "n": integer(present.get("n", 1), "n", low=1, high=MAX_CHOICES),
        "stop": _stop(present.get("stop", [])),
        "ignore_eos": bool(_switch(present, "ignore_eos", False)),
        "prompt_lookup": bool(_switch(present, "prompt_lookup", True)),
        "stream": stream,
        "include_usage": _include_usage(present, stream),
        "sampling": parse_sampling(present, defaults),
        "grammar": _grammar(present) if "response_format" in present else None,
    }


def _grammar(present: Mapping[str, Any]) -> Grammar | None:
    # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
    from webllm_py.api.formats import parse_response_format

    grammar = parse_response_format(present["response_format"])
    if grammar and present.get("ignore_eos"):
        fail("ignore_eos", "cannot be combined with 'response_format': its texts come to an end.")
    return grammar


def _switch(present: Mapping[str, Any], name: str, default: bool | None) -> bool | None:
    return boolean(present[name], name) if name in present else default


def _stop(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (text(value, "stop", empty=False),)
    if not isinstance(value, list | tuple):
        wrong_type("stop", "a string or a list of strings", value)
    if len(value) > MAX_STOPS:
        fail("stop", f"holds {len(value)} strings; {MAX_STOPS} are allowed.")
    return tuple(text(stop, f"stop[{i}]", empty=False) for i, stop in enumerate(value))


def _include_usage(present: Mapping[str, Any], stream: bool) -> bool:
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


def _chat_max_tokens(present: Mapping[str, Any]) -> int | None:
    """``max_completion_tokens`` is OpenAI's newer name of ``max_tokens``."""
    given = {
        name: integer(present[name], name, low=1, high=MAX_TOKENS)
        for name in ("max_completion_tokens", "max_tokens")
        if name in present
    }
    if len(set(given.values())) > 1:
        fail("max_tokens", "differs from 'max_completion_tokens'; give one of them.")
    return next(iter(given.values()), None)


def _tools(present: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], ...], CallRules]:
    if not present.keys() & {"tools", "tool_choice", "parallel_tool_calls"}:
        return (), CallRules()
    from webllm_py.api.tool_choice import parse_tool_fields  # not before it is needed, see above

    return parse_tool_fields(present)


def _template_kwargs(present: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = json_object(present.get("chat_template_kwargs", {}), "chat_template_kwargs")
    for name in TEMPLATE_ARGUMENTS:
        if name in kwargs:
            fail(f"chat_template_kwargs.{name}", "comes from the request's own fields.")
    if "reasoning_effort" in present:
        effort = one_of(present["reasoning_effort"], "reasoning_effort", REASONING_EFFORTS)
        if kwargs.setdefault("reasoning_effort", effort) != effort:
            fail("reasoning_effort", "differs from the one in 'chat_template_kwargs'.")
    return kwargs


def _enable_thinking(present: Mapping[str, Any], kwargs: dict[str, Any]) -> bool | None:
    """WebLLM has the switch as a field, vLLM inside ``chat_template_kwargs``; it is taken out."""
    switch = _switch(present, "enable_thinking", None)
    inner = kwargs.pop("enable_thinking", None)
    if inner is None:
        return switch
    inner = boolean(inner, "chat_template_kwargs.enable_thinking")
    if switch not in (None, inner):
        fail("enable_thinking", "differs from the one in 'chat_template_kwargs'.")
    return inner


def texts_or_token_ids(value: Any, param: str) -> tuple[tuple[str | tuple[int, ...], ...], bool]:
    """A text or token ids, or a list of them; and whether it is no list of them but one."""
    if isinstance(value, str):
        return (text(value, param),), True
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy's arrays
    found = items(value, param) if isinstance(value, list | tuple) else None
    if found is None:
        wrong_type(param, "a string, token ids, or a list of either", value)
    if not found:
        fail(param, "must not be empty.")
    if isinstance(found[0], str | list | tuple):
        each = (_text_or_token_ids(one, f"{param}[{i}]") for i, one in enumerate(found))
        return tuple(each), False
    return (_token_ids(found, param),), True


def _text_or_token_ids(value: Any, param: str) -> str | tuple[int, ...]:
    if isinstance(value, str):
        return text(value, param)
    return _token_ids(items(value, param), param)


def _token_ids(value: list[Any], param: str) -> tuple[int, ...]:
    if not value:
        fail(param, "must not be empty.")
    return tuple(
        integer(token, f"{param}[{i}]", low=0, high=MAX_TOKEN_ID) for i, token in enumerate(value)
    )
