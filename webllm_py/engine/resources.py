"""``engine.chat.completions``, ``.completions``, ``.embeddings``: requests to token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from webllm_py.api import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatResponses,
    Completion,
    CompletionResponses,
    parse_chat_request,
    parse_completion_request,
)
from webllm_py.api.fields import opened
from webllm_py.api.stream import Identity
from webllm_py.engine.inspected import check_inspected
from webllm_py.engine.prompts import (
    PreparedRequest,
    Prompt,
    beside_others,
    completion_prompt,
    see_images,
    text_tokens,
    tokens_of,
)
from webllm_py.errors import RequestError
from webllm_py.streaming import Stream

if TYPE_CHECKING:
    from array import array

    from webllm_py.api.embeddings import CreateEmbeddingResponse
    from webllm_py.loading import LoadedModel
    from webllm_py.runtime.embedding.embeds import Embeds
    from webllm_py.tokenizer import Tokenizer

__all__ = ["Chat", "ChatCompletions", "Completions", "Embeddings", "Host"]


class Host(Protocol):
    """What answers the requests: the engine."""

    @property
    def name(self) -> str:
        """The model's name in responses."""

    @property
    def loaded(self) -> LoadedModel:
        """The model."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""

    @property
    def embedder(self) -> Embeds:
        """What embeds texts, if the model is a text embedder."""

    async def embed(self, texts: Sequence[Sequence[int]]) -> list[array[float]]:
        """The vector of each text."""

    def check_length(self, tokens: Sequence[int], param: str) -> None:
        """Refuse a prompt that leaves no room for an answer."""

    def chosen(self, name: Any) -> Host:
        """The one of several models that a request names."""

    async def respond(self, prepared: PreparedRequest) -> Any:
        """Answer a request in its turn."""


class Chat:
    """``engine.chat``."""

    def __init__(self, engine: Host):
        self.completions = ChatCompletions(engine)


class ChatCompletions:
    """``engine.chat.completions``."""

    def __init__(self, engine: Host):
        self._engine = engine

    @overload
    async def create(
        self, /, *, stream: Literal[True], **fields: Any
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    async def create(self, /, **fields: Any) -> ChatCompletion: ...
    async def create(self, /, **fields: Any) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """Answer a conversation: OpenAI's fields, and this package's own.

        Besides OpenAI's: ``top_k``, ``min_p``, ``typical_p``, ``repetition_penalty``,
        ``no_repeat_ngram_size``, ``dry_*``, ``xtc_*``, ``mirostat*``, ``min_tokens``, ``grammar``,
        ``ignore_eos``, ``adapters``, ``lora``, ``prompt_lookup``, ``logits_processors``,
        ``timeout``, ``chat_template_kwargs``, ``enable_thinking``, ``add_generation_prompt``,
        ``continue_final_message`` (the answer goes on with the last message, an assistant's),
        ``return_hidden_states``, ``return_attentions`` (of the prompt and the answer, with their
        ``token_ids`` in each choice: ``webllm_py.api.inspected``).
        Calls of ``tools`` and, as ``reasoning_content``, reasoning come apart from the content;
        with ``reasoning_format="none"`` reasoning stays in it, as the model writes it.
        What spells a special token in a message becomes that token, as with Hugging Face's
        templates. With ``resumable`` (true, or a name) the answer is kept while it is given, and
        ``engine.resume`` finishes it if the process or tab ends meanwhile.

        Returns:
            The answer; with ``stream=True`` an asynchronous iterator of its pieces.

        Raises:
            RequestError: a field that is unknown or wrong.
            ImageError: an image cannot be had or decoded, or the model does not see.
            ContextLengthError: the conversation is longer than the context.
            TemplateError: the model's chat template refused the messages.
            RequestTimeoutError: it took longer than ``timeout`` seconds; a stream raises it too.
        """
        fields = opened(fields)
        engine = self._engine.chosen(fields.get("model"))
        prepared = await ChatCompletions(engine).prepare(fields)
        return await engine.respond(prepared)  # type: ignore[no-any-return]

    async def prepare(
        self, fields: Mapping[str, Any], identity: Identity = None
    ) -> PreparedRequest:
        """A request, checked and turned into a prompt; raises what ``create`` does.

        Args:
            identity: id and time of its responses; None for new ones.
        """
        engine = self._engine
        model = engine.loaded
        request = parse_chat_request(fields, defaults=model.sampling)
        config = model.executor.model.config
        request.check_vocabulary(config.vocab_size)
        request.check_layers(config.n_layers, config.hidden_size)
        dialect = model.tool_dialect if request.tools else model.dialect
        images = await see_images(model, request.messages) if request.has_images else []
        text = dialect.prompts.build(
            request.messages,
            tools=request.tools,
            variables=request.template_kwargs,
            enable_thinking=request.enable_thinking,
            add_generation_prompt=request.add_generation_prompt,
            continue_final_message=request.continue_final_message,
        )
        request = replace(request, stop=(*request.stop, *dialect.prompts.stop))
        encode = partial(tokens_of, model.tokenizer, text, images)
        if not images:
            encode = partial(model.tokenizer.encode, text)
        tokens = await beside_others(len(text), encode)
        if not tokens:
            raise RequestError("the conversation is empty", param="messages")
        engine.check_length(tokens, "messages")
        if not request.ignore_eos:
            grammar = dialect.grammar(text, request.calls, request.grammar)
            request = replace(request, grammar=grammar)
        parser = partial(dialect.parser, text, request.calls, apart=request.reasoning_apart)
        continues, shown = request.continue_final_message, frozenset(model.controls)
        ends = dialect.template.ends
        prompt = Prompt(tokens, continues=continues, shown=shown, ends=ends, images=images)
        check_inspected(request, model.executor, [prompt])
        return PreparedRequest(
            "chat",
            fields,
            request,
            [prompt],
            ChatResponses(request.model or engine.name, parser, identity),
        )


class Completions:
    """``engine.completions``."""

    def __init__(self, engine: Host):
        self._engine = engine

    @overload
    async def create(self, /, *, stream: Literal[True], **fields: Any) -> Stream[Completion]: ...
    @overload
    async def create(self, /, **fields: Any) -> Completion: ...
    async def create(self, /, **fields: Any) -> Completion | Stream[Completion]:
        """Go on with a text: no template, BOS as the checkpoint says.

        Returns and raises as ``chat.completions.create`` does.
        """
        fields = opened(fields)
        engine = self._engine.chosen(fields.get("model"))
        prepared = await Completions(engine).prepare(fields)
        return await engine.respond(prepared)  # type: ignore[no-any-return]

    async def prepare(
        self, fields: Mapping[str, Any], identity: Identity = None
    ) -> PreparedRequest:
        """See ``ChatCompletions.prepare``."""
        engine = self._engine
        model = engine.loaded
        request = parse_completion_request(fields, defaults=model.sampling)
        config = model.executor.model.config
        request.check_vocabulary(config.vocab_size)
        request.check_layers(config.n_layers, config.hidden_size)
        prompts = []
        for given in request.prompts:
            make = partial(completion_prompt, model.tokenizer, request, given)
            prompt = await beside_others(len(given), make)
            engine.check_length(prompt.tokens, "prompt")
            prompts.append(prompt)
        check_inspected(request, model.executor, prompts)
        responses = CompletionResponses(request.model or engine.name, identity)
        return PreparedRequest("completion", fields, request, prompts, responses)


class Embeddings:
    """``engine.embeddings``."""

    def __init__(self, engine: Host):
        self._engine = engine

    async def create(self, /, **fields: Any) -> CreateEmbeddingResponse:
        """Turn texts into vectors: OpenAI's fields ``input`` (a text, token ids, or a list of
        either), ``encoding_format`` ("float" or "base64"), ``dimensions``, ``model``.

        Special tokens are put around a text as the checkpoint says; token ids are taken as they
        are. ``dimensions`` keeps so many leading numbers of each vector, and brings what is left to
        length 1 if the model's vectors are of length 1: worth it for models that were trained so
        (Matryoshka).

        Raises:
            RequestError: a field that is unknown or wrong; or the model is no embedder.
            ContextLengthError: a text is longer than the model's positions; nothing is cut off.
        """
        # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
        from webllm_py.api.embeddings import parse_embedding_request

        request = parse_embedding_request(fields)
        engine = self._engine.chosen(request.model)
        embedder = engine.embedder
        request.check_model(embedder.vocab_size, embedder.hidden_size)
        limit = embedder.context_length
        texts = []
        for param, text in request.named_inputs:
            encode = partial(text_tokens, engine.tokenizer, text, param, limit)
            texts.append(await beside_others(len(text), encode))
        vectors = await engine.embed(texts)
        return request.response(
            vectors,
            model=engine.name,
            tokens=sum(map(len, texts)),
            normalized=embedder.normalized,
        )
