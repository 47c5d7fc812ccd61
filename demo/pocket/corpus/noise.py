"""What typing does to a question: lower case, no punctuation, slips of the finger, politeness."""

from __future__ import annotations

from .core import Draw, Noise

__all__ = ["disturb"]

_QUESTION_STARTS = ("What", "Which", "How", "Where", "Who", "When", "Is", "Do", "Name", "Tell")
_BEFORE = ("Please, ", "Hey, ", "Hi! ", "Hello, ", "Ok, ", "So ", "And ", "Now ",
           "Quick question: ", "Can you tell me: ", "Tell me, ", "One more: ", "Next question: ",
           "Well, ", "Hm, ", "I want to know: ", "Question: ", "Hi, ", "Please tell me: ",
           "Okay, ")  # fmt: skip
_AFTER = (" Please.", " please", ", please", " Thanks!", " Thank you.", " thanks", " Do you know?",
          " pls", " :)", " Hm?", " now")  # fmt: skip
_SHORTER = (("What is", "Whats"), ("What is", "What's"), ("you", "u"), ("are", "r"), ("please",
                                                                                      "pls"),
            ("I am", "im"), ("do not", "dont"), ("What is", "what s"), ("and", "&"))  # fmt: skip


def disturb(draw: Draw, text: str, noise: int) -> str:
    """The text as a user may type it; about half of the time it stays as it is."""
    if noise == Noise.NONE or draw.chance(0.5):
        return text
    if noise == Noise.TYPOS:
        if draw.chance(0.15):
            text = _polite(draw, text)
        if draw.chance(0.1):
            long, short = draw.choice(_SHORTER)
            text = _replace_word(text, long, short)
        if draw.chance(0.2):
            text = _typo(draw, text)
    kind = draw.random()
    if kind < 0.3:
        return text.rstrip(".?!")
    if noise == Noise.TYPOS:
        if kind < 0.6:
            return text.lower()
        if kind < 0.85:
            return text.lower().rstrip(".?!")
        return text.upper() if kind < 0.87 else text
    return text[:1].lower() + text[1:] if kind < 0.7 else text


def _polite(draw: Draw, text: str) -> str:
    if draw.chance(0.5):
        asks = text.startswith(_QUESTION_STARTS)
        return draw.choice(_BEFORE) + (text[:1].lower() + text[1:] if asks else text)
    if draw.chance(0.5):
        return text.rstrip(".?") + draw.choice(_AFTER)
    return text + draw.choice((" Thank you.", " thanks"))


def _replace_word(text: str, long: str, short: str) -> str:
    words = f" {text} ".replace(f" {long} ", f" {short} ", 1)
    return words[1:-1]


def _typo(draw: Draw, text: str) -> str:
    """One letter swapped, dropped or doubled in a word of four letters or more in lower case."""
    words = text.split(" ")
    places = [i for i, w in enumerate(words) if len(w) > 3 and w.isalpha() and w.islower()]
    if not places:
        return text
    place = draw.choice(places)
    word = words[place]
    i = 1 + draw.below(len(word) - 2)
    kind = draw.below(3)
    if kind == 0:
        word = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    elif kind == 1:
        word = word[:i] + word[i + 1 :]
    else:
        word = word[:i] + word[i] + word[i:]
    words[place] = word
    return " ".join(words)
