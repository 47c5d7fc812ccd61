"""Short stories from a grammar: a hero, a place, a thing, a helper and one of several plots.

Every plot uses what the user asked for (an animal, a name, a thing, a place), so a story about
something that no list holds comes out as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .core import Draw, Noise, Turn, article, capitalise, words
from .lexicon import ADJECTIVES, MENS_NAMES, NAMES, NOUNS, WOMENS_NAMES, WORDS, made_up

__all__ = ["raw_story", "story"]

_ANIMALS = words("""
cat dog mouse rabbit fox bear owl duck hen horse cow sheep pig goat frog lion tiger wolf hedgehog
squirrel penguin elephant monkey turtle snail bee swan deer donkey dragon unicorn robot
""")
_PEOPLE = words(
    "girl queen princess witch boy king prince wizard farmer baker pirate knight child sailor"
)
_WOMEN, _MEN = frozenset(_PEOPLE[:4]), frozenset(_PEOPLE[4:8])
_PLACES = words("""
a small village, a green forest, an old castle, a quiet farm, a big city, a tiny island, a house
by the sea, a warm cave, a garden full of roses, a valley between two mountains, a little town, a
wooden house near a lake
""")
_HOMES = words("home, to the village, to the river, to the old bridge, to the market, to the hill")
_TRAITS = words("""
small, brave, shy, curious, kind, clever, lonely, cheerful, lazy, friendly, quiet, hungry, proud
""")
_TREASURES = words("""
golden key, silver bell, old map, red ball, blue hat, shiny stone, little lamp, magic feather,
wooden flute, warm scarf, round mirror, green bottle, music box, lost letter, small boat
""")
_FOODS = words(
    "apple, cake, carrot, pear, loaf of bread, bowl of soup, basket of berries, honey pot"
)
_WEATHER = words("sunny, rainy, windy, snowy, foggy, warm, cold")
_MORALS = words("""
Sharing makes friends, A small friend can be a great help, It is good to ask for help, Being kind
is never wrong, Whoever tries can learn, Courage grows when we need it, Patience brings good
things, Home is where your friends are
""")
_ENDINGS = (
    "They lived happily ever after.",
    "And if you listen at night, you can still hear them laugh.",
    "From that day on they were the best of friends.",
    "And that is the end of the story.",
    "That night {n} slept very well.",
    "And everybody was glad.",
)


def _names_for(kind: str) -> Sequence[str]:
    if kind in _WOMEN:
        return WOMENS_NAMES
    return MENS_NAMES if kind in _MEN else NAMES


class _Cast:
    """Who and what a story is about."""

    def __init__(self, draw: Draw):
        self.kind = draw.choice(_ANIMALS) if draw.chance(0.7) else draw.choice(_PEOPLE)
        self.name = draw.choice(_names_for(self.kind))
        self.trait = draw.choice(_TRAITS)
        self.place = draw.choice(_PLACES)
        self.thing = draw.choice(_TREASURES)
        self.friend_kind = draw.choice(_ANIMALS)
        while self.friend_kind == self.kind:
            self.friend_kind = draw.choice(_ANIMALS)
        self.friend = draw.choice(NAMES)
        while self.friend == self.name:
            self.friend = draw.choice(NAMES)

    @property
    def opening(self) -> str:
        return f"Once upon a time there was {article(self.trait)} {self.kind} called {self.name}"


Plot = Callable[[Draw, _Cast], list[str]]


def _lost(draw: Draw, c: _Cast) -> list[str]:
    where = draw.choice(("under a bush", "behind a tree", "in the tall grass", "near the old well"))
    return [
        f"{c.opening}, who lived in {c.place}.",
        f"{c.name} had {article(c.thing)} and loved it very much.",
        f"One {draw.choice(_WEATHER)} day the {c.thing} was gone.",
        f"{c.name} looked everywhere, but could not find it, and began to cry.",
        f'Then {article(c.friend_kind)} called {c.friend} came by and asked: "What is wrong?"',
        f'"I have lost my {c.thing}," said {c.name}.',
        f"They looked together, and {c.friend} found the {c.thing} {where}.",
        f'"Thank you!" said {c.name} with a big smile.',
    ]


def _found(draw: Draw, c: _Cast) -> list[str]:
    path = draw.choice(("on the road", "by the river", "in the forest", "under a stone"))
    return [
        f"{c.opening}.",
        f"One {draw.choice(_WEATHER)} morning {c.name} found {article(c.thing)} {path}.",
        f'"Whose {c.thing} is this?" asked {c.name}.',
        f"First {c.name} asked a crow, but the crow shook its head.",
        f"Then {c.name} met {article(c.friend_kind)} who looked very sad.",
        f'"My {c.thing} is lost," said the {c.friend_kind}, whose name was {c.friend}.',
        f'"Here it is!" said {c.name} and gave it back.',
        f"{c.friend} was so happy that they danced all day.",
    ]


def _storm(draw: Draw, c: _Cast) -> list[str]:
    return [
        f"{c.opening}, who lived in {c.place}.",
        "One night a great storm came, and the wind blew the roof away.",
        f"{c.name} was cold and wet and did not know where to go.",
        f"Far away there was a light. {c.name} went there and knocked at the door.",
        f"{capitalise(article(c.friend_kind))} called {c.friend} opened.",
        f'"Come in and get warm," said {c.friend}.',
        "They drank tea and told stories until the storm was over.",
        "In the morning they built a new roof together.",
    ]


def _learn(draw: Draw, c: _Cast) -> list[str]:
    skill = draw.choice(
        words("swim, sing, dance, read, paint, climb, cook, fly a kite, play the flute")
    )
    return [
        f"{c.opening}, who wanted to learn to {skill}.",
        'The others laughed and said: "You can never do that!"',
        f'But {c.friend}, {article("old " + c.friend_kind)}, said: "Try a little every day."',
        f"So {c.name} tried on Monday, and it went wrong.",
        f"{c.name} tried on Tuesday, and it went a little better.",
        f"On Sunday {c.name} could {skill} better than anyone.",
        f"Now nobody laughed any more, and {c.name} said thank you to {c.friend}.",
    ]


def _share(draw: Draw, c: _Cast) -> list[str]:
    food = draw.choice(_FOODS)
    return [
        f"{c.opening}, who had {article(food)}.",
        f"{c.name} wanted to eat it alone and walked {draw.choice(_HOMES)}.",
        f"On the way {c.name} met {article(c.friend_kind)} called {c.friend}.",
        f'"I am so hungry," said {c.friend}.',
        f"{c.name} thought for a while and looked at the {food}.",
        f'"Then let us share it," said {c.name}.',
        f"They sat down in the sun, and the {food} tasted twice as good.",
    ]


def _dark(draw: Draw, c: _Cast) -> list[str]:
    noise = draw.choice(words("a strange noise, a soft knock, a deep howl, a long whistle"))
    return [
        f"{c.opening}, who was afraid of the dark.",
        f"One night {c.name} heard {noise} outside.",
        f"{c.name} took {article(c.thing)} in one hand and opened the door very slowly.",
        f"There stood {article(c.friend_kind)}, who was even more afraid.",
        f'"I am {c.friend} and I cannot find my way home," it said.',
        f'"Then I will go with you," said {c.name}.',
        "They walked through the night side by side, and the dark was not so bad any more.",
    ]


def _race(draw: Draw, c: _Cast) -> list[str]:
    return [
        f"{c.opening}.",
        f'One day {c.friend} the {c.friend_kind} said: "I am the fastest in the land!"',
        f'"Then let us race to the old tree," said {c.name}.',
        f"{c.friend} ran so fast that it fell into a muddy pond.",
        f"{c.name} could have won, but stopped and pulled {c.friend} out of the water.",
        f'"You have lost the race because of me," said {c.friend}.',
        f'"But I have won a friend," said {c.name}.',
    ]


def _wish(draw: Draw, c: _Cast) -> list[str]:
    wish = draw.choice(words("a friend, a warm coat, a little garden, a big party, a day of sun"))
    return [
        f"{c.opening}, who lived alone in {c.place}.",
        f'One evening {c.name} rubbed {article(c.thing)}, and a small voice said: "Make a wish!"',
        f"{c.name} thought about gold and about castles.",
        f'But then {c.name} said: "I wish for {wish}."',
        f"The next morning {article(c.friend_kind)} called {c.friend} knocked at the door.",
        f'"I was told that you wait for me," said {c.friend}, and brought {wish}.'
        if wish != "a friend"
        else f'"I was told that you need a friend," said {c.friend}.',
        f"{c.name} was never alone again.",
    ]


def _journey(draw: Draw, c: _Cast) -> list[str]:
    goal = draw.choice(
        words("the sea, the highest mountain, the end of the rainbow, the moon lake")
    )
    return [
        f"{c.opening}, who wanted to see {goal}.",
        f"{c.name} packed {article(c.thing)} and left {c.place} early in the morning.",
        f"The way was long, and after three days {c.name} was very tired.",
        f'{capitalise(article(c.friend_kind))} called {c.friend} said: "Sit on my back!"',
        "Together they crossed a river, a forest and a field of flowers.",
        f"At last they saw {goal}, and it was more beautiful than in any dream.",
        "They stayed until the stars came out, and then they went home.",
    ]


def _gift(draw: Draw, c: _Cast) -> list[str]:
    return [
        f"{c.opening}.",
        f"Tomorrow was the birthday of {c.friend} the {c.friend_kind}, and {c.name} had no gift.",
        f"{c.name} went {draw.choice(_HOMES)}, but had no money at all.",
        f"So {c.name} took some wood and some paint and worked the whole night.",
        f"In the morning there was {article(c.thing)}, made by hand.",
        f'"This is the best gift of all," said {c.friend}, "because you made it yourself."',
        "Then they ate cake until the sun went down.",
    ]


_PLOTS: tuple[Plot, ...] = (
    _lost, _found, _storm, _learn, _share, _dark, _race, _wish, _journey, _gift,
)  # fmt: skip


def _tell(draw: Draw, cast: _Cast) -> str:
    sentences = draw.choice(_PLOTS)(draw, cast)
    sentences.append(draw.choice(_ENDINGS).format(n=cast.name))
    if draw.chance(0.2):
        sentences.append(f"{draw.choice(_MORALS)}.")
    return " ".join(sentences)


_TELL = ("Tell me a story{x}.", "Tell a story{x}.", "Tell me a short story{x}.",
         "Write a story{x}.", "Write a short story{x}.", "Can you tell me a story{x}?",
         "I want to hear a story{x}.", "Please tell me a story{x}.", "A story{x}, please.",
         "Make up a story{x}.", "story{x}", "Could you write a story{x}?", "Tell me a tale{x}.",
         "Write me a story{x}", "Invent a story{x}.", "Tell us a story{x}.", "Give me a story{x}.",
         "Tell me a bedtime story{x}.", "Do you know a story{x}?")  # fmt: skip
_AGAIN = ("Tell me another one.", "Another story.", "One more story, please.", "Another one!",
          "Tell me another story.", "Again!", "One more!", "Do you know another story?",
          "Another", "More stories!")  # fmt: skip


def story(draw: Draw) -> Turn:
    """A story, with what was asked for in it."""
    cast = _Cast(draw)
    asked = _wishes(draw, cast)
    user = draw.choice(_TELL).replace("{x}", asked)
    return Turn(user, _tell(draw, cast), family="story", noise=Noise.CASE, follow=_another)


def _another(draw: Draw) -> Turn:
    return Turn(draw.choice(_AGAIN), _tell(draw, _Cast(draw)), family="story", follow=_another)


def _wishes(draw: Draw, cast: _Cast) -> str:
    """What the user wants in the story, written into the cast."""
    kind = draw.random()
    if kind < 0.15:
        return ""
    if kind < 0.3:  # something that need not be in any list
        cast.kind = _something(draw)
        return f" about {article(cast.kind)}"
    if kind < 0.36:
        cast.kind = _something(draw)
        return f" about the {cast.kind}"
    if kind < 0.5:
        return f" about {article(cast.kind)} called {cast.name}"
    if kind < 0.56:
        return f" about {article(cast.kind)} named {cast.name}"
    if kind < 0.64:
        return f" about {cast.name}"
    if kind < 0.72:
        return f" about {cast.name} and {cast.friend}"
    if kind < 0.8:
        return f" about {article(cast.kind)} and {article(cast.friend_kind)}"
    if kind < 0.86:
        cast.trait = draw.choice(ADJECTIVES)
    return (
        f" about {article(cast.trait)} {cast.kind}"
        if kind < 0.88
        else f" about {article(cast.kind)}"
    )


def _something(draw: Draw) -> str:
    kind = draw.random()
    if kind < 0.5:
        return draw.choice(NOUNS)
    return draw.choice(WORDS) if kind < 0.8 else made_up(draw)


def raw_story(draw: Draw) -> str:
    """A story as plain text, for completion without a chat."""
    return _tell(draw, _Cast(draw))
