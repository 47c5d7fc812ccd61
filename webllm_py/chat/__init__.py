"""Messages to text and back: chat templates, and fallbacks for what they do not do; tool calls and
reasoning in answers.

Knows no model, no tokenizer and no GPU. Jinja is imported when the first template is made.
"""

from webllm_py.chat.dialect import CallRules, Dialect
from webllm_py.chat.fallback import choose_template
from webllm_py.chat.prompt import PromptBuilder
from webllm_py.chat.template import ChatTemplate

__all__ = ["CallRules", "ChatTemplate", "Dialect", "PromptBuilder", "choose_template"]
