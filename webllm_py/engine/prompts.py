"""Requests with their prompts: from fields to token ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from webllm_py.api import CompletionRequest, GenerationRequest, Responses
from webllm_py.concurrency import in_thread
from webllm_py.errors import ContextLengthError, ImageError, RequestError
from webllm_py.tokenizer import Tokenizer
from webllm_py.units import counted

if TYPE_CHECKING:
    from webllm_py.images.prepared import PreparedImage
    from webllm_py.loading import LoadedModel

__all__ = [
    "PreparedRequest",
    "Prompt",
    "beside_others",
    "completion_prompt",
    "see_images",
    "text_tokens",
    "tokens_of",
]


Result = TypeVar("Result")
LONG = 1 << 16  # characters, which take some hundredths of a second to become tokens


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens, and how its answer's text begins.

    Attributes:
        continues: whether the answer continues a text, so that its leading space is kept.
        echo: text that the answer begins with.
        shown: control tokens whose text is part of the answer's.
        echoed: which of the prompt's tokens ``echo`` is made of.
        ends: tokens that end this answer, besides those that end any.
        images: the images whose rows are among the tokens.
    """

    tokens: Sequence[int]
    continues: bool = False
    echo: str = ""
    shown: frozenset[int] = frozenset()
    echoed: range = range(0)
    ends: frozenset[int] = frozenset()
    images: Sequence[PreparedImage] = ()


@dataclass(frozen=True)
class PreparedRequest:
    """A request that was checked, with its prompts.

    Attributes:
        kind: "chat" or "completion".
        fields: the request as it came.
        responses: builds its responses.
    """

    kind: str
    fields: Mapping[str, Any]
    request: GenerationRequest
    prompts: Sequence[Prompt]
    responses: Responses[Any, Any]


async def see_images(
    model: LoadedModel, messages: Sequence[Mapping[str, Any]]
) -> list[PreparedImage]:
    """Load a conversation's images, and prepare them as the model's own processor does.

    Raises:
        ImageError: an image cannot be had or decoded, or the model does not see.
    """
    from webllm_py.images.prepared import prepare
    from webllm_py.images.source import image_parts, load_images

    parts = list(image_parts(messages))
    if model.processor is None:
        config = model.executor.model.config
        raise ImageError(
            f"{model.checkpoint.name} ({config.architecture}) reads text only, and messages hold "
            f"{counted(len(parts), 'image')}; load a model that sees, as SmolVLM or Gemma 3",
            param=parts[0][0],
        )
    images = await load_images(parts)
    return [
        prepare(image, model.processor, part["detail"])
        for image, (_, part) in zip(images, parts, strict=True)
    ]


async def beside_others(length: int, work: Callable[[], Result]) -> Result:
    """What ``work`` makes of a text of so many characters; of a long one in a thread, where there
    are threads, so that other answers go on meanwhile."""
    return await in_thread(work) if length > LONG else work()


def tokens_of(tokenizer: Tokenizer, text: str, images: Sequence[PreparedImage]) -> list[int]:
    """The tokens of a prompt whose text marks where its images are.

    Raises:
        RequestError: the template left an image out, or wrote one twice.
    """
    from webllm_py.chat.tool_texts import IMAGE_MARK

    pieces = text.split(IMAGE_MARK)
    if len(pieces) != len(images) + 1:
        raise RequestError(
            f"this model's chat template has places for {counted(len(pieces) - 1, 'image')}, and "
            f"messages hold {len(images)}",
            param="messages",
        )
    tokens: list[int] = []
    written = ""
    for before, image in zip(pieces, (*images, None), strict=True):
        written += before
        for piece in image.pieces if image else ():
            if isinstance(piece, str):
                written += piece
            else:
                tokens += [*tokenizer.encode(written), *piece]
                written = ""
    return [*tokens, *tokenizer.encode(written)]


def completion_prompt(
    tokenizer: Tokenizer, request: CompletionRequest, prompt: str | tuple[int, ...]
) -> Prompt:
    """One of a completion request's prompts.

    Raises:
        RequestError: it is empty; or it has a suffix, and the model has no tokens for this.
    """
    if request.suffix is not None:
        return infill_prompt(tokenizer, request, prompt)
    before = 0
    if isinstance(prompt, str):
        tokens = tokenizer.encode(prompt, add_special=True)
        if tokenizer.add_eos and tokens and tokens[-1] == tokenizer.eos_id:
            tokens.pop()  # the text is to go on
        echo = prompt
        before = len(tokens) - len(tokenizer.encode(prompt))
    else:
        tokens, echo = list(prompt), tokenizer.decode(prompt)
    if not tokens:
        raise RequestError(
            "the prompt is empty, and this model has no token that begins a text: write something",
            param="prompt",
        )
    return Prompt(
        tokens,
        continues=bool(echo),
        echo=echo if request.echo else "",
        echoed=range(before, len(tokens)) if request.echo else range(0),
    )


def infill_prompt(
    tokenizer: Tokenizer, request: CompletionRequest, prompt: str | tuple[int, ...]
) -> Prompt:
    """A prompt for filling in the middle: the text before, and the text after the model's.

    Raises:
        RequestError: the model has no tokens for this.
    """
    infill = tokenizer.infill
    if infill is None:
        raise RequestError(
            "this model has no tokens for filling in text before a 'suffix'; leave it out, or "
            "load a model that has them, as many models for code do",
            param="suffix",
            code="unsupported_parameter",
        )
    text = tokenizer.decode(prompt) if not isinstance(prompt, str) else prompt
    before = list(prompt) if not isinstance(prompt, str) else tokenizer.encode(prompt)
    begin = [tokenizer.bos_id] if tokenizer.add_bos and tokenizer.bos_id is not None else []
    tokens = [*begin, *infill.prompt(before, tokenizer.encode(request.suffix or ""))]
    first = len(begin) + 1
    return Prompt(
        tokens,
        continues=True,
        echo=text if request.echo else "",
        echoed=range(first, first + len(before)) if request.echo else range(0),
        ends=infill.ends,
    )


def text_tokens(
    tokenizer: Tokenizer, text: str | tuple[int, ...], param: str, limit: int
) -> Sequence[int]:
    """The tokens of a text to be embedded.

    Raises:
        ContextLengthError: there are more than ``limit``.
        RequestError: there are none.
    """
    tokens = tokenizer.encode(text, add_special=True) if isinstance(text, str) else text
    if len(tokens) > limit:
        raise ContextLengthError(
            f"this model embeds texts of up to {limit:,} tokens, and {param} has "
            f"{len(tokens):,}; cut it into parts",
            param=param,
        )
    if not tokens:
        raise RequestError(f"'{param}' has no tokens", param=param)
    return tokens
