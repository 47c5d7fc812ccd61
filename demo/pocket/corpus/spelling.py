"""Words as letters: copying, reversing, spelling, counting, upper and lower case."""

from __future__ import annotations

from collections.abc import Sequence

from .core import Draw, Noise, Turn, capitalise, letters
from .lexicon import ADJECTIVES, NAMES, NOUNS, VERBS, WORDS, made_up

__all__ = ["FAMILIES", "a_word"]


def a_word(draw: Draw) -> str:
    """A known word, a name, or a made-up one."""
    kind = draw.random()
    if kind < 0.6:
        return draw.choice(WORDS)
    if kind < 0.7:
        return draw.choice(NAMES)
    return made_up(draw)


def _quoted(draw: Draw, text: str) -> str:
    """The text as people set it off: bare, or in some kind of quotes."""
    kind = draw.random()
    if kind < 0.55:
        return text
    return f"'{text}'" if kind < 0.7 else f'"{text}"'


def _phrase(draw: Draw) -> str:
    """A few words that make a small sentence, or none."""
    kind = draw.random()
    if kind < 0.4:
        return f"the {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)}"
    if kind < 0.7:
        return f"{draw.choice(NAMES)} and {draw.choice(NAMES)} {draw.choice(VERBS)}"
    return " ".join(a_word(draw) for _ in range(2 + draw.below(4)))


def _turn(draw: Draw, asks: Sequence[str], shown: str, reply: str, family: str) -> Turn:
    user = draw.choice(asks).replace("{w}", _quoted(draw, shown))
    return Turn(user, reply, reply, noise=Noise.CASE, family=family)


_COPY = ("Repeat the word {w}.", "Say {w}.", "Say the word {w}.", "Write {w}.", "Copy {w}.",
         "Repeat {w}.", "Repeat after me: {w}", "Copy this: {w}", "Echo {w}", "Just say {w}.",
         "Please write the word {w}.", "Can you say {w}?", "Say this: {w}", "Repeat this: {w}",
         "Please repeat: {w}", "Type {w}.", "Write this word: {w}")  # fmt: skip


def copy(draw: Draw) -> Turn:
    """Saying a word or phrase again."""
    text = a_word(draw) if draw.chance(0.6) else _phrase(draw)
    return _turn(draw, _COPY, text, text, "copy")


_REVERSE = ("Reverse the word {w}.", "Reverse {w}.", "Write {w} backwards.", "Spell {w} backwards.",
            "What is {w} backwards?", "Say {w} backwards.", "Turn the word {w} around.",
            "What is {w} reversed?", "Can you reverse {w}?", "{w} backwards", "reverse: {w}",
            "How do you write {w} backwards?", "Reverse this word: {w}",
            "Write the word {w} backwards.", "Can you write {w} backwards?")  # fmt: skip


def reverse(draw: Draw) -> Turn:
    """A word from its last letter to its first."""
    word = a_word(draw)
    return _turn(draw, _REVERSE, word, letters(word[::-1]), "reverse")


def _spelled(word: str) -> str:
    return "-".join(word)


_SPELL = ("Spell {w}.", "Spell the word {w}.", "How do you spell {w}?", "How is {w} spelled?",
          "Can you spell {w}?", "Please spell {w}.", "Spell out {w}.", "Which letters are in {w}?",
          "What are the letters of {w}?")  # fmt: skip


def spell(draw: Draw) -> Turn:
    """l-a-m-p."""
    word = a_word(draw)
    return _turn(draw, _SPELL, word, _spelled(word), "spell")


_LENGTH = ("How many letters are in {w}?", "How many letters does {w} have?",
           "How long is the word {w}?", "Count the letters in {w}.",
           "How many letters has the word {w}?", "What is the length of the word {w}?",
           "Number of letters in {w}?")  # fmt: skip
_COUNT = ("How many {c}'s are in {w}?", "How many {c} are in {w}?", "How many times is {c} in {w}?",
          "Count the letter {c} in {w}.", "How often does {c} appear in {w}?",
          "How many {c}s in {w}?", "How many {c} letters does {w} have?",
          "How many times does {c} appear in {w}?", "How many letters {c} are in {w}?",
          "How many {c}'s in {w}?")  # fmt: skip


def count_letters(draw: Draw) -> Turn:
    """How many letters, or how many of one letter: spelled first, so that it can be counted."""
    word = a_word(draw)
    if draw.chance(0.4):
        plural = "letter" if len(word) == 1 else "letters"
        reply = f"{_spelled(word)} has {len(word)} {plural}."
        turn = _turn(draw, _LENGTH, word, reply, "count_letters")
        turn.short = str(len(word))
        return turn
    letter = draw.choice(word).lower() if draw.chance(0.8) else draw.choice("aeiourstn")
    count = word.lower().count(letter)
    times = {0: "no", 1: "one", 2: "two", 3: "three", 4: "four"}.get(count, str(count))
    reply = f"{_spelled(word)} has {times} {letter}{'' if count == 1 else chr(39) + 's'}."
    turn = _turn(draw, [ask.replace("{c}", letter) for ask in _COUNT], word, reply, "count_letters")
    turn.short = str(count)
    return turn


_ENDS = (
    (("What is the first letter of {w}?", "First letter of {w}?",
      "Which letter does {w} start with?", "With which letter does {w} begin?"), "first", 0),
    (("What is the last letter of {w}?", "Last letter of {w}?", "Which letter does {w} end with?",
      "With which letter does {w} end?"), "last", -1),
    (("What is the second letter of {w}?", "Second letter of {w}?"), "second", 1),
)  # fmt: skip


def ends(draw: Draw) -> Turn:
    """The first, second or last letter."""
    asks, name, index = draw.choice(_ENDS)
    word = a_word(draw)
    turn = _turn(draw, asks, word, f"The {name} letter of {word} is {word[index]}.", "ends")
    turn.short = word[index]
    return turn


_UPPER = ("Write {w} in upper case.", "Write {w} in capitals.", "Write {w} in capital letters.",
          "Put {w} in upper case.", "{w} in upper case", "Make {w} uppercase.",
          "Convert {w} to uppercase.", "Uppercase {w}", "Shout {w}!",
          "Turn {w} into capital letters.", "What is {w} in upper case?")  # fmt: skip
_LOWER = ("Write {w} in lower case.", "Write {w} in small letters.", "Put {w} in lower case.",
          "{w} in lower case", "Make {w} lowercase.", "Convert {w} to lowercase.", "Lowercase {w}",
          "What is {w} in lower case?")  # fmt: skip


def case(draw: Draw) -> Turn:
    """Upper and lower case of a word or phrase."""
    text = a_word(draw) if draw.chance(0.6) else _phrase(draw)
    if draw.chance(0.6):
        turn = _turn(draw, _UPPER, text, letters(text.upper()), "upper")
    else:
        shown = text.upper() if draw.chance(0.7) else text.title()
        turn = _turn(draw, _LOWER, shown, letters(text.lower()), "lower")
    turn.noise = Noise.NONE
    return turn


_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def alphabet(draw: Draw) -> Turn:
    """Neighbours in the alphabet, and all of it."""
    if draw.chance(0.1):
        user = draw.choice(("Say the alphabet.", "Recite the alphabet.", "What is the alphabet?",
                            "List the letters of the alphabet.",
                            "Write the alphabet."))  # fmt: skip
        return Turn(user, " ".join(_ALPHABET), family="alphabet")
    i = draw.below(26)
    letter = _ALPHABET[i]
    shown = letter.upper() if draw.chance(0.4) else letter
    asks: tuple[str, ...]
    kind = draw.random()
    if kind < 0.45 and i < 25:
        other = _ALPHABET[i + 1]
        asks = ("What letter comes after {}?", "Which letter follows {}?",
                "Which letter comes after {}?", "What is the letter after {}?",
                "What is the next letter after {}?")  # fmt: skip
        reply = f"{other} comes after {letter}."
    elif kind < 0.8 and i > 0:
        other = _ALPHABET[i - 1]
        asks = ("What letter comes before {}?", "Which letter comes before {}?",
                "What is the letter before {}?", "Which letter is right before {}?")  # fmt: skip
        reply = f"{other} comes before {letter}."
    else:
        other = str(i + 1)
        asks = ("Which number is the letter {} in the alphabet?",
                "What is the position of {} in the alphabet?",
                "Which place has {} in the alphabet?")  # fmt: skip
        reply = f"{letter} is letter number {other} of the alphabet."
    return Turn(draw.choice(asks).format(shown), reply, other, noise=Noise.CASE, family="alphabet")


_STARTS = ("Name a word that starts with {}.", "Give me a word with {}.",
           "A word that begins with {}?", "Which word starts with {}?",
           "Tell me a word that starts with {}.", "Say a word beginning with {}.")  # fmt: skip
_BY_LETTER = {
    letter: [w for w in WORDS if w[0] == letter and len(w) > 2]
    for letter in _ALPHABET
    if any(w[0] == letter and len(w) > 2 for w in WORDS)
}


def starting_with(draw: Draw) -> Turn:
    """Some word with a wanted first letter."""
    letter = draw.choice(list(_BY_LETTER))
    word = draw.choice(_BY_LETTER[letter])
    shown = letter.upper() if draw.chance(0.3) else letter
    user = draw.choice(_STARTS).format(shown)
    return Turn(user, f"{capitalise(word)}.", word, noise=Noise.CASE, family="starting_with")


_SORT = ("Sort these words: {}.", "Put these words in alphabetical order: {}.", "Sort {}.",
         "Order these words from A to Z: {}.", "Sort alphabetically: {}.")  # fmt: skip


def sort_words(draw: Draw) -> Turn:
    """A few words in alphabetical order; their first letters differ."""
    chosen = {w[0]: w for w in (draw.choice(WORDS) for _ in range(3 + draw.below(2)))}
    listed = list(chosen.values())
    user = draw.choice(_SORT).format(", ".join(listed))
    reply = ", ".join(sorted(listed))
    return Turn(user, f"In order: {reply}.", reply, noise=Noise.CASE, family="sort_words")


_WORD_COUNT = ("How many words are in this: {}", "Count the words: {}", "How many words has '{}'?",
               "How many words are in the sentence '{}'?")  # fmt: skip


def count_words(draw: Draw) -> Turn:
    """How many words a phrase has."""
    text = _phrase(draw)
    count = len(text.split())
    user = draw.choice(_WORD_COUNT).format(text)
    return Turn(user, f"It has {count} words.", str(count), noise=Noise.CASE, family="count_words")


FAMILIES = (
    (copy, 3.0),
    (reverse, 4.0),
    (spell, 2.0),
    (count_letters, 2.5),
    (ends, 1.0),
    (case, 2.0),
    (alphabet, 1.0),
    (starting_with, 0.5),
    (sort_words, 0.8),
    (count_words, 0.5),
)
