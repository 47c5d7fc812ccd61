"""Jokes, riddles and four-line poems."""

from __future__ import annotations

from .core import Draw, Turn, article, capitalise
from .lexicon import MASS_NOUNS, NOUNS, made_up

__all__ = ["joke", "poem", "riddle"]

_JOKE_ASKS = (
    "Tell me a joke.", "Tell me a joke", "Do you know a joke?", "Make me laugh.",
    "Say something funny.", "Can you tell a joke?", "Another joke.", "A joke, please.",
    "Know any jokes?", "joke", "Tell a joke.", "Can you tell me a joke?", "Tell me another joke.",
    "I want to hear a joke.", "Tell me a funny joke.", "Give me a joke.",
    "Do you know any good jokes?",
)  # fmt: skip
_JOKES = (
    "Why did the token stay at home? It was out of context.",
    "What did the GPU say to the CPU? Do not wait for me, I have a thousand things to do at once.",
    "How does a tiny model eat its soup? Byte by byte.",
    "Why did the cat sit on the browser? It wanted to catch the mouse.",
    "Why did the matrix feel lonely? It had nobody to multiply with.",
    "Why did the number nine need a rest? It was tired of carrying the one.",
    "Why did the kettle join the choir? It could already whistle.",
    "Why did the snail buy a rocket? It was late for lunch.",
    "What do you call a kernel that tells jokes? Popcorn.",
    "Why did the cloud take a holiday? It was under too much pressure.",
    "Why does the pocket model never get lost? It has very little space to get lost in.",
    "Why did the shader wear sunglasses? Its future was too bright.",
    "What did the zero say when it met the one? You and me, we make a bit.",
    "Why did the owl pass every exam? It studied all night.",
    "Why did the duck bring a towel to the bank? It wanted to save for a rainy day.",
    "Why did the robot eat the dictionary? It wanted a few words before lunch.",
)


def joke(draw: Draw) -> Turn:
    """A short joke."""
    return Turn(draw.choice(_JOKE_ASKS), draw.choice(_JOKES), family="joke", follow=_another_joke)


_ANOTHER = ("Another one!", "Another", "One more!", "Again!", "One more, please.", "Next", "More",
            "Another one, please.", "And another?")  # fmt: skip


def _another_joke(draw: Draw) -> Turn:
    ask = draw.choice(_ANOTHER)
    return Turn(ask, draw.choice(_JOKES), family="joke", follow=_another_joke)


_RIDDLE_ASKS = (
    "Tell me a riddle.", "Do you know a riddle?", "Give me a riddle.", "Ask me a riddle.",
    "A riddle, please.", "Riddle me something.", "Can you tell me a riddle?",
)  # fmt: skip
_RIDDLES = (
    ("I have a face and two hands, but I never wash them. What am I?", "A clock"),
    ("I have black and white teeth and sing when you touch them. What am I?", "A piano"),
    ("I follow you in the sun and leave you in the dark. What am I?", "Your shadow"),
    ("I have many leaves, but I am no tree. What am I?", "A book"),
    ("I am round and bright and a little different every night. What am I?", "The moon"),
    ("I have a bed, but I never sleep in it. What am I?", "A river"),
    ("The more you take away from me, the bigger I get. What am I?", "A hole"),
    ("I am full of words, but I cannot speak. What am I?", "A dictionary"),
    ("I am white when I come and water when I go. What am I?", "Snow"),
    ("I have one eye and a long tail, and I help to make a shirt. What am I?", "A needle"),
)
_GIVE_UP = ("I don't know.", "I give up.", "What is it?", "Tell me.", "No idea.",
            "What is the answer?", "Please tell me.", "Say the answer.")  # fmt: skip


def riddle(draw: Draw) -> Turn:
    """A riddle, and its answer when the user gives up or guesses."""
    question, answer = draw.choice(_RIDDLES)

    def solve(draw: Draw) -> Turn:
        if draw.chance(0.6):
            return Turn(draw.choice(_GIVE_UP), f"{answer}!", family="riddle")
        guess = answer if draw.chance(0.5) else draw.choice(_RIDDLES)[1]
        user = guess if draw.chance(0.5) else f"Is it {guess[0].lower()}{guess[1:]}?"
        right = f"Yes, well done! {answer}!"
        reply = right if guess == answer else f"No, that is not it. {answer}!"
        return Turn(user, reply, family="riddle")

    return Turn(draw.choice(_RIDDLE_ASKS), question, family="riddle", follow=solve)


_POEM_ASKS = (
    "Write a poem about {p}.", "Write a short poem about {p}.", "A poem about {p}, please.",
    "Can you write a poem about {p}?", "Tell me a poem about {p}.", "Make a rhyme about {p}.",
    "Write me a poem about {p}", "Write a verse about {p}.", "poem about {p}",
    "Write a haiku about {p}.", "Make a poem about {p}.", "I want a poem about {p}.",
)  # fmt: skip
_PLAIN_POEM_ASKS = ("Write a poem.", "Tell me a poem.", "Can you write a poem?", "A poem, please.",
                    "Write me a poem", "Do you know a poem?", "Make a rhyme.")  # fmt: skip
_POEMS = """
{P} was shining in the sun,
a quiet day had just begun.
I saw the clouds, I saw the sky,
and watched the little birds go by.

I thought of {p} late last night,
while all the stars were warm and bright.
It did not speak, it did not sing,
but it can make the morning ring.

Of {p} I sing, of {p} I write,
in morning sun, in pale moonlight.
The rain may fall, the wind may blow,
I love it more than you may know.

One morning by the garden wall
I dreamed of {p}, that was all.
I drank my milk, I drank my tea,
and then it came to visit me.

The moon is high, the night is deep,
and {p} will help me fall asleep.
The stars are bright, the wind is mild,
good night, good night, my little child.

A little poem, fresh and new,
of {p}, and it is for you.
It is not long, it is not wise,
but it may bring a small surprise.
""".strip().split("\n\n")


def _theme(draw: Draw) -> str:
    kind = draw.random()
    if kind < 0.4:
        return article(draw.choice(NOUNS))
    if kind < 0.6:
        return f"the {draw.choice(NOUNS)}"
    if kind < 0.7:
        return f"my {draw.choice(NOUNS)}"
    return draw.choice(MASS_NOUNS) if kind < 0.9 else made_up(draw)


def poem(draw: Draw) -> Turn:
    """Four lines about a thing."""
    theme = _theme(draw)
    plain = draw.chance(0.2)
    user = draw.choice(_PLAIN_POEM_ASKS if plain else _POEM_ASKS).replace("{p}", theme)
    text = draw.choice(_POEMS).format(p=theme, P=capitalise(theme))
    return Turn(user, text, family="poem", follow=_another_poem)


def _another_poem(draw: Draw) -> Turn:
    turn = poem(draw)
    if draw.chance(0.5):
        theme = _theme(draw)
        turn.user = f"And about {theme}?"
        turn.reply = draw.choice(_POEMS).format(p=theme, P=capitalise(theme))
    return turn
