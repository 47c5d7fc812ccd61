"""Messages to text and back: chat templates, and fallbacks for what they do not do; tool calls and
reasoning in answers.

Knows no model, no tokenizer and no GPU. Jinja is imported when the first template is made, what a
page's start needs nothing of (``chat.dialect``, ``chat.tools``) with the first chat.
"""

from webllm_py.chat.fallback import choose_template
from webllm_py.chat.rules import CallRules
from webllm_py.chat.template import ChatTemplate

__all__ = ["CallRules", "ChatTemplate", "choose_template"]
