"""What a checkpoint says about texts: its tokenizer, its chat template, its small files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webllm_py.chat import choose_template
from webllm_py.chat.template import Template
from webllm_py.checkpoint import Checkpoint
from webllm_py.errors import CorruptCheckpointError
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

__all__ = ["TOOL_USE", "json_file", "template_of", "token_text", "tokenizer_of", "with_template"]

TOOL_USE = "tool_use"
"""What transformers calls the template of conversations with tools, where that is another one."""


def tokenizer_of(checkpoint: Checkpoint, vocab_size: int) -> Tokenizer:
    """The checkpoint's tokenizer.

    Raises:
        CorruptCheckpointError: it needs tokens that the model has no embedding for.
    """
    if checkpoint.kind == "gguf":
        tokenizer = from_gguf(checkpoint.metadata)
    else:
        config = json.dumps(dict(checkpoint.metadata)).encode()
        tokenizer = from_files({"config.json": config, **checkpoint.files})
    if tokenizer.needed > vocab_size:
        raise CorruptCheckpointError(
            f"the tokenizer needs {tokenizer.needed} tokens, the model embeds only {vocab_size}: "
            "they do not belong together"
        )
    tokenizer.fit(vocab_size)
    return tokenizer


def with_template(checkpoint: Checkpoint, template: str | Mapping[str, Any] | None) -> Checkpoint:
    """The checkpoint with another chat template than its own: see ``webllm_py.load``."""
    if template is None:
        return checkpoint
    if isinstance(template, str):
        return replace(checkpoint, chat_template=template, named_templates={})
    conversation = {**(checkpoint.conversation or {}), **template}
    return replace(checkpoint, chat_template=None, named_templates={}, conversation=conversation)


def template_of(checkpoint: Checkpoint, tokenizer: Tokenizer, *, tools: bool = False) -> Template:
    """The checkpoint's chat template, or what stands in for one.

    Args:
        tools: whether it is to show tools, for which some have one of its own.

    Raises:
        TemplateError: the checkpoint's own cannot be used.
    """
    own = checkpoint.named_templates.get(TOOL_USE) if tools else None
    return choose_template(
        checkpoint.chat_template if own is None else own,
        lambda text: tokenizer.token_id(text) is not None,
        conversation=checkpoint.conversation,
        token_text=lambda token: token_text(tokenizer, token),
        bos_token=token_text(tokenizer, tokenizer.bos_id),
        eos_token=token_text(tokenizer, tokenizer.eos_id),
    )


def token_text(tokenizer: Tokenizer, token: int | None) -> str:
    """A token's text, empty for none."""
    return "" if token is None else tokenizer.token_bytes(token).decode("utf-8", "replace")


def json_file(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """One of the small JSON files beside the weights; empty where there is none."""
    if name not in checkpoint.files:
        return {}
    try:
        value = json.loads(checkpoint.files[name])
    except ValueError as error:
        raise CorruptCheckpointError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorruptCheckpointError(f"{name} must hold a JSON object")
    return value
