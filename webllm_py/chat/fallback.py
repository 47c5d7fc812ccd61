"""Which template to use, for checkpoints with and without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webllm_py.chat.template import ChatTemplate, Template

__all__ = ["CHATML", "PLAIN", "choose_template"]

# OpenAI's ChatML, the form that most models without a template of their own were tuned with.
CHATML = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""

# For models that never saw a conversation: something that reads like one.
PLAIN = """\
{{- bos_token }}
{%- for message in messages %}
    {{- message.role + ': ' + message.content + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'assistant:' }}
{%- endif %}"""


def choose_template(
    checkpoint_template: str | None,
    has_token: Callable[[str], bool],
    *,
    conversation: Mapping[str, Any] | None = None,
    token_text: Callable[[int], str] = str,
    **options: Any,
) -> Template:
    """The checkpoint's own template; else ChatML, if the tokenizer has its tokens; else ``PLAIN``.

    Args:
        checkpoint_template: Jinja source, or None if the checkpoint has none.
        conversation: the form that stands for it in MLC's files, or None.
        token_text: see ``ConversationTemplate``.
        has_token: whether a text is one token of the vocabulary.
        options: handed to ``ChatTemplate``: ``bos_token``, ``eos_token``, ...

    Raises:
        TemplateError: the checkpoint's own template cannot be used.
    """
    if checkpoint_template is not None:
        return ChatTemplate(checkpoint_template, **options)
    if conversation is not None:
        from webllm_py.chat.conversation import ConversationTemplate  # MLC's files alone have them

        return ConversationTemplate(conversation, token_text)
    chatml = has_token("<|im_start|>") and has_token("<|im_end|>")
    return ChatTemplate(CHATML if chatml else PLAIN, **options)
