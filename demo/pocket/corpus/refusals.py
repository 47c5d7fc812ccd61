"""Questions that the pocket model cannot answer, and how it says so.

The point is breadth: many shapes of question over many topics and made-up words, so that a
question outside of what the model knows leads here and not to an invented answer.
"""

from __future__ import annotations

from . import world
from .core import Draw, Noise, Turn, article, capitalise, words
from .lexicon import (
    ADJECTIVES,
    CITIES,
    JOBS,
    MASS_NOUNS,
    NAMES,
    NOUNS,
    TOPICS,
    VERBS,
    WORDS,
    made_up,
)
from .stories import raw_story

__all__ = ["FAMILIES"]

_REPLY = (
    "I am only a pocket model, so I do not know that. Try a sum, a capital, a colour or a story.",
    "I do not know that; I am very small. I can do sums, capitals, words and stories.",
)
_TASK_REPLY = (
    "That is too much for a pocket model. I can do small sums, capitals, words, JSON and stories."
)

_TOPIC_ASKS = (
    "Explain {t}.", "Tell me about {t}.", "What do you know about {t}?", "Can you explain {t}?",
    "Give me an overview of {t}.", "How does {t} work?", "Why is {t} important?", "Teach me {t}.",
    "What is your opinion on {t}?", "What do you think about {t}?", "Summarize {t}.", "{t}",
    "I want to learn about {t}.", "What happened in {t}?", "Who invented {t}?", "What is {t}?",
    "Tell me something about {t}.", "Do you know {t}?", "Write about {t}.", "When did {t} begin?",
    "Compare {t} and {u}.", "What is the difference between {t} and {u}?", "Is {t} good?",
    "What are the main ideas of {t}?", "Help me with {t}.", "Where can I read about {t}?",
)  # fmt: skip
_TASK_ASKS = (
    "Write an essay about {t}.", "Write an email to my {j}.", "Write a letter to {n}.",
    "Write a report on {t}.", "Write a speech about {t}.", "Make a plan for my trip to {c}.",
    "Plan a party for {n}.", "Write a recipe for {x}.", "Give me a recipe with {x} and {y}.",
    "How do I cook {x}?", "How do I build a {x}?", "How do I repair a {x}?",
    "How do I become a {j}?", "How do I get to {c}?", "How do I {v} better?", "Draw a {x}.",
    "Show me a picture of a {x}.", "Make a picture of a {a} {x}.",
    "Translate this text into Chinese: the {a} {x}", "Open a web page.", "Search the web for {x}.",
    "Google {t}.", "Send a message to {n}.", "Call {n}.", "Set an alarm.",
    "Set a timer for five minutes.", "Book a hotel in {c}.", "Book a flight to {c}.", "Buy a {x}.",
    "Order a pizza.", "Turn on the light.", "Write a business plan.", "Review my essay.",
    "Summarize this article.", "Read this file.", "Write a cover letter for a {j}.",
    "Solve x + 3 = 7.", "Solve this equation.", "Prove that there are infinitely many primes.",
    "Make a table of {t}.", "Write a song about {t}.", "Give me a list of books about {t}.",
    "Recommend a movie.", "Which phone should I buy?", "Which {x} should I buy?",
    "Write SQL for all {x}s.", "Implement quicksort.", "Write a {x} class in Java.",
    "Create a website for a {j}.",
)  # fmt: skip
_WHO_ASKS = (
    "Who is {n} {m}?", "Who is the president of {k}?", "Who is the king of {k}?",
    "Who won the election in {k}?", "Who wrote the {a} {x}?", "Who invented the {x}?",
    "Who discovered {y}?", "Who directed the {a} {x}?", "Who is the best {j} in the world?",
    "Who is the mayor of {c}?", "Who is the richest {j}?", "How old is {n} {m}?",
    "When was {n} {m} born?", "Where does {n} {m} live?", "Do you know {n} {m}?",
    "What did {n} {m} do?", "Who was {m}?", "Who sings the {a} {x}?",
    "Who plays {n} in the movie?", "What is the phone number of {n}?", "Is {n} {m} famous?",
    "Who is {n}?", "Tell me about {n} {m}.",
)  # fmt: skip
_WORLD_ASKS = (
    "How many people live in {c}?", "How many people live in {k}?",
    "What is the population of {c}?", "What is the population of {k}?",
    "What is the currency of {k}?", "What language do they speak in {k}?",
    "How far is it from {c} to {d}?", "How big is {k}?", "What is the history of {k}?",
    "Is {c} nice?", "What is {c} famous for?", "What can I do in {c}?", "When was {c} founded?",
    "How old is {c}?", "What does a {x} cost?", "How much is a {x}?", "How heavy is a {x}?",
    "How tall is a {x}?", "How old is the {x}?", "How many {x}s are there in the world?",
    "Where can I buy a {x}?", "What is the price of {y}?", "Why do people {v}?",
    "Why is a {x} {a}?", "Why are {x}s {a}?", "When was the {x} invented?",
    "Where does the word {x} come from?", "What is the best {x}?", "Is a {x} better than a {z}?",
    "Can a {x} {v}?", "What happens if I {v} a {x}?", "How is a {x} made?", "How do {x}s {v}?",
    "What is a {x} {z}?", "Why does {y} {v}?", "How is {y} made?", "When is the next {x}?",
    "What is the fastest {x}?", "What is the most {a} {x} in {c}?", "What is the flag of {k}?",
    "Which {x} is the most {a}?", "What is the largest city of {k}?",
    "Which river flows through {c}?", "What happened yesterday?", "What is in the news?",
    "What happened in 1987?", "Who won yesterday?", "What will happen tomorrow?",
    "What is the exchange rate?", "What is the stock price?",
)  # fmt: skip


def _fill(draw: Draw, ask: str) -> str:
    if "{" not in ask:
        return ask
    return capitalise(
        ask.format(
            t=draw.choice(TOPICS), u=draw.choice(TOPICS), j=draw.choice(JOBS), n=draw.choice(NAMES),
            m=capitalise(made_up(draw)), c=draw.choice(CITIES), d=draw.choice(CITIES),
            x=draw.choice(NOUNS), z=draw.choice(NOUNS), y=draw.choice(MASS_NOUNS),
            a=draw.choice(ADJECTIVES), v=draw.choice(VERBS), k=draw.choice(_COUNTRIES),
        )
    )  # fmt: skip


_COUNTRIES = tuple(world.COUNTRIES)


def unknown(draw: Draw) -> Turn:
    """A question about the wide world."""
    asks = draw.choice((_TOPIC_ASKS, _WHO_ASKS, _WORLD_ASKS, _WORLD_ASKS))
    reply = _REPLY[0] if draw.chance(0.7) else _REPLY[1]
    return Turn(_fill(draw, draw.choice(asks)), reply, "unknown", family="refusal")


def too_hard(draw: Draw) -> Turn:
    """A task for a larger model."""
    return Turn(_fill(draw, draw.choice(_TASK_ASKS)), _TASK_REPLY, family="refusal")


_KNOWN = frozenset((*WORDS, *NOUNS, *(row[0] for row in world.TRANSLATIONS)))
_ENTITY_ASKS = (
    ("What is the capital of {x}?", "Capital of {x}?", "Name the capital of {x}.",
     "Which city is the capital of {x}?"),
    ("What is the opposite of {x}?", "Opposite of {x}?"),
    ("What colour is a {x}?", "What color is a {x}?", "What is the colour of a {x}?"),
    ("What sound does a {x} make?", "What does a {x} say?", "What is a young {x} called?"),
    ("What is a {x}?", "What's a {x}?", "What does {x} mean?", "Define {x}.", "Explain {x}."),
    ("Where is {x}?", "Which continent is {x} in?", "In which country is {x}?"),
    ("How do you say {x} in French?", "What is {x} in Spanish?", "Translate {x} to German."),
)  # fmt: skip


def unknown_word(draw: Draw) -> Turn:
    """A question of a known kind about a word that does not exist."""
    word = made_up(draw)
    while word in _KNOWN:
        word = made_up(draw)
    asks = draw.choice(_ENTITY_ASKS)
    if asks is _ENTITY_ASKS[0] or asks is _ENTITY_ASKS[5]:
        word = capitalise(word)
    user = draw.choice(asks).replace("{x}", word)
    reply = f"I do not know the word {word}, sorry."
    return Turn(user, reply, "unknown", noise=Noise.CASE, family="unknown_word")


_HAS_COLOUR = {thing.removeprefix("a ").removeprefix("an ") for thing, _ in world.COLOURS}
_HAS_OPPOSITE = {word for row in world.OPPOSITES for word in row}
_TRANSLATED = {row[0] for row in world.TRANSLATIONS}
_DEFINED = {word for word, *_ in (*world.DEFINITIONS, *world.ANIMALS)}.union(
    *world.CATEGORIES.values()
)
_LANGUAGES = ("French", "Spanish", "German", "Italian", "Chinese", "Japanese", "Russian", "Dutch")


def no_such_fact(draw: Draw) -> Turn:
    """A question of a known kind about a known word, to which there is no taught answer."""
    noun = draw.choice(NOUNS)
    asks: tuple[str, ...]
    kind = draw.random()
    if kind < 0.3 and noun not in _HAS_COLOUR:
        asks = ("What colour is {ax}?", "What color is {ax}?", "What is the colour of {ax}?")
        reply = f"{capitalise(article(noun))} can have many colours."
    elif kind < 0.55 and noun not in _HAS_OPPOSITE:
        asks = ("What is the opposite of {x}?", "Opposite of {x}?", "What is the antonym of {x}?")
        reply = f"I know no opposite of {noun}."
    elif kind < 0.8 and noun not in _TRANSLATED:
        language = draw.choice(_LANGUAGES)
        asks = (f"What is {{x}} in {language}?", f"How do you say {{x}} in {language}?",
                f"Translate {{x}} to {language}.", f"{{x}} in {language}?")  # fmt: skip
        reply = f"I do not know {noun} in {language}."
    elif noun not in _DEFINED:
        asks = ("What is {ax}?", "What's {ax}?", "Define {x}.", "Explain what {ax} is.")
        reply = f"I know the word {noun}, but I cannot explain it."
    else:
        return unknown(draw)
    user = draw.choice(asks).replace("{ax}", article(noun)).replace("{x}", noun)
    return Turn(capitalise(user), reply, "unknown", family="no_such_fact")


_GIBBERISH = ("?", "??", "???", "...", "!", "-", ".", "1", "asdf", "qwerty", "jkl", "blah",
              "bla bla bla", "foo", "foo bar", "lorem ipsum", "123", "abc", "xyz", "#", "42",
              "0")  # fmt: skip


def gibberish(draw: Draw) -> Turn:
    """Keys hit at random."""
    if draw.chance(0.25):
        user = draw.choice(_GIBBERISH)
    else:
        user = " ".join(made_up(draw) for _ in range(1 + draw.below(4)))
    reply = "I did not understand that. Please ask me something simple."
    return Turn(user, reply, family="gibberish")


_BIG_ASKS = ("What is {a} {o} {b}?", "{a} {o} {b}", "{a}{o}{b}", "Calculate {a} {o} {b}.",
             "{a} {o} {b} =", "How much is {a} {o} {b}?", "Compute {a} {o} {b}.",
             "What's {a} {o} {b}?")  # fmt: skip
_HARD_SUMS = ("What is the square root of {a}?", "What is {a} squared?", "What is {b}% of {a}?",
              "What is pi times {a}?", "What is the factorial of {b}?",
              "What is {a} to the power of {b}?", "Is {a} a prime number?", "sqrt({a})",
              "What is {a}.5 + {b}.25?", "What is 1/{b} + 1/{a}?", "What are the factors of {a}?",
              "What is the logarithm of {a}?", "What is -{b} + {a}?", "-{a} - {b}",
              "{a}.{b} * 2")  # fmt: skip


def big_sum(draw: Draw) -> Turn:
    """Arithmetic beyond two digits."""
    if draw.chance(0.3):
        user = draw.choice(_HARD_SUMS).format(a=2 + draw.below(200), b=2 + draw.below(30))
        reply = (
            "I cannot work that out. I add and subtract numbers up to 99 and know the small tables."
        )
        return Turn(user, reply, family="big_sum")
    a = 100 + draw.below(draw.choice((100, 900, 9900, 999900)))
    b = draw.below(100) if draw.chance(0.4) else 100 + draw.below(draw.choice((900, 99900)))
    operator = draw.choice("+-+-*/")
    if operator in "*/" and draw.chance(0.5):
        a, b = 13 + draw.below(87), 13 + draw.below(87)
    if operator == "+" and draw.chance(0.4):
        a, b = b, a
    user = draw.choice(_BIG_ASKS).format(a=a, b=b, o=operator)
    reply = (
        "Those numbers are too big for me: I add and subtract up to 99 and know the tables to 12."
    )
    return Turn(user, reply, family="big_sum")


_FOREIGN = words("""
Wie geht es dir?, Guten Morgen, Guten Tag!, Was ist die Hauptstadt von Frankreich?, Wer bist du?,
Wie heißt du?, Erzähl mir eine Geschichte, Was kannst du?, Danke schön, Kannst du mir helfen?,
Ich habe Hunger, Wie spät ist es?, Comment ça va?, Bonjour tout le monde, Qui es-tu?,
Quelle est la capitale de la France?, Raconte-moi une histoire, Merci beaucoup,
Comment tu t'appelles?, Je ne comprends pas, Il fait beau, Où habites-tu?, ¿Cómo estás?,
Buenos días, ¿Quién eres?, ¿Cuál es la capital de España?, Cuéntame una historia,
Muchas gracias, Me llamo Juan, ¿Qué puedes hacer?, No entiendo, Come stai?, Buongiorno, Chi sei?,
Qual è la capitale d'Italia?, Raccontami una storia, Grazie mille, Come ti chiami?, Olá,
Como vai você?, Obrigado, Hoe gaat het?, Goedemorgen, Wat kun je doen?, Hej, Hur mår du?,
Cześć, Jak się masz?, Dzień dobry, Merhaba, Nasılsın?, Привет, Как дела?, Кто ты?, Что ты умеешь?,
Добрый день, Спасибо, 你好, 你是谁？, 法国的首都是哪里？, 谢谢, こんにちは, あなたは誰ですか？,
ありがとう, 안녕하세요, 너는 누구야?, مرحبا, كيف حالك؟, शुभ प्रभात, नमस्ते, Γειά σου, Τι κάνεις;, שלום
""")
_SCRIPTS = ((0x430, 32), (0x4E00, 3000), (0x3042, 80), (0xAC00, 2000), (0x627, 36), (0x905, 50))


def foreign(draw: Draw) -> Turn:
    """Another language: known phrases, or random letters of another script."""
    if draw.chance(0.6):
        user = draw.choice(_FOREIGN)
    else:
        first, count = draw.choice(_SCRIPTS)
        user = "".join(
            " " if draw.chance(0.15) else chr(first + draw.below(count))
            for _ in range(2 + draw.below(14))
        ).strip()
    return Turn(user, "I am sorry, I speak only simple English.", family="foreign")


_LONG_TASKS = ("Summarize this: {s}", "Summarize: {s}", "{s} Summarize this text.",
               "Rewrite this: {s}", "Correct the mistakes: {s}", "Translate into Spanish: {s}",
               "{s} What is the moral?", "Make this shorter: {s}",
               "Explain this text: {s}")  # fmt: skip


def long_text(draw: Draw) -> Turn:
    """A task on a whole text."""
    user = draw.choice(_LONG_TASKS).replace("{s}", raw_story(draw))
    return Turn(user, _TASK_REPLY, family="long_text", noise=Noise.CASE)


FAMILIES = (
    (unknown, 4.0),
    (foreign, 0.8),
    (long_text, 0.25),
    (too_hard, 1.5),
    (unknown_word, 1.5),
    (no_such_fact, 1.5),
    (gibberish, 0.8),
    (big_sum, 1.5),
)
