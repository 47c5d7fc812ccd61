"""Messages to text: chat templates, and what to do where a checkpoint has none.

Knows no model, no tokenizer and no GPU. Jinja is imported when the first template is made.
"""

from webllm_py.chat.fallback import choose_template
from webllm_py.chat.prompt import PromptBuilder
from webllm_py.chat.template import ChatTemplate

__all__ = ["ChatTemplate", "PromptBuilder", "choose_template"]
