"""Every field that a request may hold, by what becomes of it. A name outside is refused.

The names are OpenAI's (chat completions, completions, embeddings), with the extensions of WebLLM,
vLLM and llama.cpp that are in use for the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webllm_py.api.checks import fail, mapping, refuse_unknown
from webllm_py.chat.plain import NotPlainError, to_plain

__all__ = ["CHAT_FIELDS", "COMPLETION_FIELDS", "EMBEDDING_FIELDS", "opened", "request_fields"]

SAMPLING_FIELDS = frozenset(
    {
        "dry_allowed_length",
        "dry_base",
        "dry_multiplier",
        "dry_penalty_last_n",
        "dry_sequence_breakers",
        "frequency_penalty",
        "logit_bias",
        "logits_processors",
        "min_p",
        "min_tokens",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "no_repeat_ngram_size",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "xtc_probability",
        "xtc_threshold",
    }
)
GENERATION_FIELDS = SAMPLING_FIELDS | {
    "enable_latency_breakdown",
    "adapters",
    "grammar",
    "ignore_eos",
    "logprobs",
    "lora",
    "max_tokens",
    "model",
    "n",
    "prompt_lookup",
    "response_format",
    "resumable",
    "return_attentions",
    "return_hidden_states",
    "steering",
    "stop",
    "stream",
    "stream_options",
    "timeout",
    "top_logprobs",
}
CHAT_FIELDS = GENERATION_FIELDS | {
    "add_generation_prompt",
    "chat_template_kwargs",
    "continue_final_message",
    "enable_thinking",
    "max_completion_tokens",
    "messages",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning_format",
    "tool_choice",
    "tools",
}
COMPLETION_FIELDS = GENERATION_FIELDS | {"best_of", "echo", "prompt", "suffix"}
EMBEDDING_FIELDS = frozenset({"dimensions", "encoding_format", "input", "model"})
_KINDS = {
    "chat completions": CHAT_FIELDS,
    "text completions": COMPLETION_FIELDS,
    "embeddings": EMBEDDING_FIELDS,
}

# They say who asks, what to file the answer under, or how a data centre may go about it: nothing
# that could change an answer given here.
WITHOUT_EFFECT = frozenset(
    {
        "extra_headers",
        "extra_query",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)

# Known elsewhere, not done here. Each is accepted at the values below that ask for nothing.
UNSUPPORTED = frozenset(
    {
        "audio",
        "function_call",
        "functions",
        "hooks",
        "modalities",
        "moderation",
        "verbosity",
        "web_search_options",
    }
)
_ASKS_FOR_NOTHING: Mapping[str, Any] = {"modalities": ["text"]}
_INSTEAD: Mapping[str, str] = {
    "function_call": "is not supported: 'tool_choice' has taken its place.",
    "functions": "are not supported: 'tools' have taken their place.",
    "hooks": "are not for requests: engine.inspect(text, hooks=...) takes them.",
}


def request_fields(
    fields: Mapping[str, Any], supported: Iterable[str], elsewhere: Iterable[str]
) -> dict[str, Any]:
    """The fields of a request that this version acts on.

    ``extra_body`` is opened (its fields count as the request's own), a null counts as absent,
    fields without an effect here are left out.

    Args:
        fields: the request as it came.
        supported: names that this kind of request knows.
        elsewhere: names that only other kinds of request know; they are refused with that hint.

    Raises:
        RequestError: a field that is unknown, not supported yet, or given twice.
    """
    supported = frozenset(supported)
    elsewhere = frozenset(elsewhere) - supported
    present: dict[str, Any] = {}
    for name, value in opened(fields).items():
        if name in WITHOUT_EFFECT:
            continue
        if name in UNSUPPORTED:
            _refuse_unsupported(name, value)
            continue
        if name in elsewhere:
            kinds = " and ".join(kind for kind, names in _KINDS.items() if name in names)
            problem = f"is a field of {kinds}, not of this kind of request."
            fail(name, problem, code="unknown_parameter")
        refuse_unknown([name], supported | WITHOUT_EFFECT | UNSUPPORTED)
        if value is not None:
            present[name] = value
    return present


def opened(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with the fields of ``extra_body`` beside the others, as OpenAI's client sends.

    Raises:
        RequestError: a field is given twice.
    """
    found = mapping(fields, "request")
    extra = found.pop("extra_body", None)
    if extra is None:
        return found
    for name, value in mapping(extra, "extra_body").items():
        if name in found or name == "extra_body":  # who looks into one would miss one within
            fail(f"extra_body.{name}", "is given twice: here and outside of extra_body.")
        found[name] = value
    return found


def _refuse_unsupported(name: str, value: Any) -> None:
    if value is None:
        return
    try:
        plain = to_plain(value)
    except NotPlainError:
        plain = None
    neutral = _ASKS_FOR_NOTHING.get(name)
    if plain is None or type(plain) is not type(neutral) or plain != neutral:
        problem = _INSTEAD.get(name, "is not supported yet.")
        fail(name, problem, code="unsupported_parameter")
