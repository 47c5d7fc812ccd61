"""From passages to an answer that cites them: the prompt, and the answer with its sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webllm_py.documents.passage import Passage
from webllm_py.errors import ContextLengthError

if TYPE_CHECKING:
    from webllm_py.api import ChatCompletion, ChatCompletionChunk
    from webllm_py.engine import Engine
    from webllm_py.streaming import Stream

__all__ = ["DocumentAnswer", "DocumentStream", "PromptForm", "cited", "form_for", "room_for"]

ANSWER_TOKENS = 512  # kept free where the request does not say, or a quarter of a short context
TEMPLATE_TOKENS = 128  # what chat templates put around a message
FOLLOWS_INSTRUCTIONS = 100_000_000  # parameters; smaller models merely continue a text

CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")


@dataclass(frozen=True)
class PromptForm:
    """The prompt that a question and its sources are put into.

    Attributes:
        head: the instructions.
        source: format of a source, with ``{number}``, ``{title}`` and ``{text}``.
        question: format of the question, with ``{question}``.
        most: most sources; None: as many as fit.
    """

    head: str
    source: str
    question: str
    most: int | None = None

    def build(
        self, question: str, passages: Sequence[Passage], count: Callable[[str], int], room: int
    ) -> tuple[list[dict[str, str]], list[Passage]]:
        """The messages, and the passages that are in them, which are numbered from 1.

        Args:
            passages: the best first; as many as fit are taken.
            count: tokens of a text.
            room: most tokens of the prompt.

        Raises:
            ContextLengthError: not even one fits.
        """
        end = self.question.format(question=question)
        room -= count(self.head) + count(end)
        sources: list[str] = []
        for number, passage in enumerate(passages[: self.most], 1):
            text = self.source.format(number=number, title=passage.title, text=passage.text)
            room -= count(text)
            if room < 0:
                break
            sources.append(text)
        if not sources:
            raise ContextLengthError(
                "the model's context does not hold the question and a passage; ask for a shorter "
                "answer (max_tokens), or load the model with a larger context_length",
                param="question",
            )
        content = "".join([self.head, *sources, end])
        return [{"role": "user", "content": content}], list(passages[: len(sources)])


CITING = PromptForm(
    head=(
        "Answer the question from the numbered sources below. Put the number of each source that "
        "you use in brackets behind what you took from it, as [1]. If the sources do not answer "
        "the question, say so.\n\n"
    ),
    source="[{number}] {title}\n{text}\n\n",
    question="Question: {question}",
)
READING = PromptForm(head="Text: ", source="{text}\n", question="Question: {question}", most=1)


def form_for(info: dict[str, Any]) -> PromptForm:
    """The form for a model, by its size in ``engine.info``."""
    return CITING if info["parameters"] >= FOLLOWS_INSTRUCTIONS else READING


def room_for(info: dict[str, Any], fields: dict[str, Any]) -> int:
    """Tokens of the context that a request leaves for its prompt."""
    context = int(info["context_length"])
    wanted = fields.get("max_completion_tokens") or fields.get("max_tokens")
    return context - TEMPLATE_TOKENS - min(wanted or ANSWER_TOKENS, context // 4)


def cited(text: str, sources: Sequence[Passage]) -> list[Passage]:
    """The sources that a text names as [1] or [1, 3], in the order of their numbers."""
    numbers = {int(n) for group in CITATION.findall(text) for n in group.split(",")}
    return [source for number, source in enumerate(sources, 1) if number in numbers]


@dataclass(frozen=True)
class DocumentAnswer:
    """A whole answer.

    Attributes:
        completion: as ``engine.chat.completions.create`` gives it.
        sources: the passages that the model was shown; the first is [1].
    """

    completion: ChatCompletion
    sources: list[Passage]

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.completion.choices[0].message.content or ""

    @property
    def cited(self) -> list[Passage]:
        """The sources that the text cites."""
        return cited(self.text, self.sources)


class DocumentStream:
    """The pieces of an answer; leaving it early ends the answer (``aclose``).

    Attributes:
        sources: the passages that the model is shown; the first is [1].
    """

    def __init__(self, stream: Stream[ChatCompletionChunk], sources: list[Passage]):
        self._stream, self.sources = stream, sources

    def __aiter__(self) -> DocumentStream:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        return await anext(self._stream)

    async def aclose(self) -> None:
        """End the answer."""
        await self._stream.aclose()


async def answer(
    engine: Engine,
    question: str,
    passages: Sequence[Passage],
    form: PromptForm | None,
    stream: bool,
    fields: dict[str, Any],
) -> DocumentAnswer | DocumentStream:
    """Have a model answer a question from passages."""
    info = engine.info
    messages, sources = (form or form_for(info)).build(
        question,
        passages,
        lambda text: len(engine.tokenizer.encode(text, parse_special=False)),
        room_for(info, fields),
    )
    create = engine.chat.completions.create
    if stream:
        return DocumentStream(await create(messages=messages, stream=True, **fields), sources)
    return DocumentAnswer(await create(messages=messages, **fields), sources)
