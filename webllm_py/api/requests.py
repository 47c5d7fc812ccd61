"""Chat and text completion requests, checked: what ``parsing`` makes of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webllm_py.api.adapters import AdapterChoice
from webllm_py.api.checks import fail
from webllm_py.chat import CallRules
from webllm_py.runtime.sampling.settings import SamplingSettings

if TYPE_CHECKING:
    from array import array

    from webllm_py.grammar import Grammar

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "GenerationRequest",
]


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
        grammar_seconds: what compiling it took; next to nothing where it was compiled before.
        logprobs: how many alternatives of each token are wanted beside its log-probability; None
            for neither.
        latency_breakdown: whether the usage says how long each token took.
        steering: vectors by layer that are added to what leaves it while this answer is made; it
            has a turn of its own then.
        adapters: those that it says; None if it says nothing.
        timeout: seconds after which, from the call on and waiting included, a
            ``RequestTimeoutError`` is raised; None to wait for as long as it takes.
        resumable: whether the answer is kept while it is given, so that it can be finished when
            the process ends; a text names it.
        return_hidden_states: whether each choice comes with what left every layer.
        return_attentions: whether it comes with what every head attended to.
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
    grammar_seconds: float | None = field(default=None, compare=False)
    logprobs: int | None = None
    latency_breakdown: bool = False
    steering: Mapping[int, array[float]] | None = None
    adapters: AdapterChoice | None = None
    timeout: float | None = None
    resumable: bool | str = False
    return_hidden_states: bool = False
    return_attentions: bool = False

    @property
    def inspects(self) -> bool:
        """Whether a choice's tokens go through the model once more, to be looked at."""
        return self.return_hidden_states or self.return_attentions

    @property
    def drawn(self) -> int:
        """How many choices are made of each prompt."""
        return self.n

    @property
    def shares(self) -> bool:
        """Whether its steps may be those of other requests too: nothing has a say in its tokens
        that each of them would have to wait for, or that counts steps."""
        sampling = self.sampling
        each = sampling.logits_processors or sampling.has_rules or sampling.min_tokens
        own = each or self.grammar or self.steering or self.inspects or self.logprobs is not None
        return not own and self.drawn == self.n

    def check_layers(self, layers: int, hidden_size: int) -> None:
        """Refuse vectors for other layers than a model's, or of another length.

        Raises:
            RequestError: naming the field.
        """
        for layer, vector in (self.steering or {}).items():
            if not 0 <= layer < layers:
                fail("steering", f"has layer {layer}; this model's are 0 to {layers - 1}.")
            if len(vector) != hidden_size:
                problem = f"has {len(vector)} numbers; this model's layers have {hidden_size}."
                fail(f"steering[{layer}]", problem)

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
        reasoning_apart: whether what the model thinks comes apart from the content.
        add_generation_prompt: whether the template opens the model's turn.
        continue_final_message: whether the answer goes on with the last message, an assistant's,
            instead.
    """

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    calls: CallRules = field(default_factory=CallRules)
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    enable_thinking: bool | None = None
    reasoning_apart: bool = True
    add_generation_prompt: bool = True
    continue_final_message: bool = False

    @property
    def has_images(self) -> bool:
        """Whether a message has an image."""
        contents = (message["content"] for message in self.messages)
        return any(
            part["type"] == "image"
            for content in contents
            if isinstance(content, list)
            for part in content
        )


@dataclass(frozen=True, kw_only=True)
class CompletionRequest(GenerationRequest):
    """A text completion request.

    Attributes:
        prompts: each a text or token ids; every one gets ``n`` choices, numbered in this order.
        echo: whether the text starts with the prompt.
        best_of: how many choices are made, of which the ``n`` with the highest mean
            log-probability of their tokens are given, the best one first.
        suffix: text that is to come behind the model's, which fills in what lies between.
    """

    prompts: tuple[str | tuple[int, ...], ...]
    echo: bool = False
    best_of: int = 1
    suffix: str | None = None

    @property
    def drawn(self) -> int:
        return self.best_of

    def check_vocabulary(self, size: int) -> None:
        super().check_vocabulary(size)
        for prompt in self.prompts:
            if not isinstance(prompt, str):
                for token in prompt:
                    if token >= size:
                        fail("prompt", f"has token id {token}; this model's are 0 to {size - 1}.")
