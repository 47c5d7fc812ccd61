"""The corpus of the pocket model: a grammar of simple chats, endless and reproducible by seed.

``documents(Draw(seed))`` yields chats (OpenAI's messages, with tools where offered) and plain
texts. Every answer is computed together with its question, so it is right by construction. A share
of all arithmetic pairs and questions is held out; ``Draw(seed, held_out=True)`` draws only those.
"""

from .chats import HELD_OUT_FAMILIES, documents
from .core import LETTERS_OFF, LETTERS_ON, Chat, Draw, Turn, is_held_out, normalise, visible

__all__ = [
    "HELD_OUT_FAMILIES",
    "LETTERS_OFF",
    "LETTERS_ON",
    "Chat",
    "Draw",
    "Turn",
    "documents",
    "is_held_out",
    "normalise",
    "visible",
]
