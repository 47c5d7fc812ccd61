"""Word lists that several families draw from."""

from __future__ import annotations

from . import world
from .core import Draw, words

__all__ = [
    "ADJECTIVES",
    "CITIES",
    "JOBS",
    "MASS_NOUNS",
    "MENS_NAMES",
    "NAMES",
    "NOUNS",
    "TOPICS",
    "VERBS",
    "WOMENS_NAMES",
    "WORDS",
    "made_up",
]

WOMENS_NAMES = words("""
Ann Anna Clara Emma Eva Grace Hannah Ida Jane Julia Kate Laura Lily Lisa Lucy Mary Mia Nina Nora
Olga Rita Rosa Ruth Sara Sofia Sue Tina Vera Zoe Ada Aisha Alice Amy Bella Chloe Diana Ella Elena
Fatima Hana Ines Ivy Lara Lena Maria Marta Mei Mona Nadia Petra Priya Stella Susan Uma Yara Yuki
Linda Emily Charlotte Amelia Sophie Freya Layla Greta Amara Kim Lin""")
MENS_NAMES = words("""
Ben Bob Carl Dan David Finn Frank Harry Ivan Jack Jim John Leo Luke Mark Max Mike Nick Noah Oscar
Paul Peter Sam Tim Tom Will Adam Ali Alan Alex Amir Andrew Anton Arjun Carlos Chen Chris Daniel
Diego Eric Ethan Felix George Hugo Isaac James Jin Joe Jonas Jorge Karim Liam Milo Mohamed Omar
Otto Pablo Ravi Robert Ryan Sanjay Simon Theo Thomas Victor Wei Yusuf Kevin Brian Oliver Henry
Jacob Lucas Mateo Elias Hassan Sven Pavel Kofi""")
NAMES = (*WOMENS_NAMES, *MENS_NAMES)

_CAPITALS = [capital for capital, _ in world.COUNTRIES.values()]
CITIES = (
    *_CAPITALS,
    *words("""
New York, Milan, Munich, Hamburg, Barcelona, Lyon, Geneva, Zurich, Boston, Chicago, Sydney,
Toronto, Osaka, Mumbai, Shanghai, Istanbul, Naples, Porto, Leeds, Bristol, Oxford, Seattle,
Denver, Austin, Dallas, Miami, Krakow, Lagos, Dubai, Kyoto
"""),
)

JOBS = words("""
doctor teacher baker farmer nurse pilot cook painter driver gardener writer singer dancer engineer
programmer student lawyer actor carpenter plumber waiter tailor judge sailor scientist dentist
builder clerk musician chemist librarian mechanic photographer journalist designer soldier
""")

NOUNS = words("""
apple arm bag ball banana basket bear bed bee bell bird boat book bottle bowl box boy branch
bridge brother brush bus button cake camera candle car carrot castle cat chair chicken child
circle city clock cloud coat coin comb cow cup curtain desk dog door dragon dream dress drum duck
ear egg engine eye farm feather fence field finger fish flag flower fork fox friend frog garden
gate girl glove guitar hammer hand hat heart hill horse hotel house island jacket jar jewel kettle
key kitchen kite knife ladder lake lamp leaf lemon letter library lion lizard machine magnet map
market mirror moon mountain mouse nest night notebook ocean onion orange owl paint park pen pencil
piano picture pillow planet plant plate pocket poem potato prince princess puzzle queen rabbit
radio ring river road robot rocket roof room rope rose sail school shadow sheep ship shirt shoe
snail snake sock song spider spoon star stone storm story street sun sweater sword table teacher
tent tiger tomato tower town toy train treasure tree truck turtle umbrella valley village violin
voice wagon wall watch whale wheel window winter wizard wolf yard zebra
""")

# Nouns that take no "a".
MASS_NOUNS = words("""
bread butter cheese coffee fire grass money music paper rain salt sand snow soap sugar water wood
glass wind soup love summer winter spring autumn happiness friendship hope peace time sunshine
chocolate honey milk tea
""")

VERBS = words("""
run walk jump sing dance swim read write cook eat drink sleep play work paint draw build open
close find lose help ask tell listen watch wait learn teach think dream smile laugh cry climb fly
drive ride carry throw catch cut wash clean buy sell give take bring send keep hide""")

ADJECTIVES = words("""
big small old young happy sad brave clever funny gentle golden green hungry kind lazy little lonely
lucky noisy proud quick quiet red round shy silly silver sleepy slow soft strange strong tall tiny
warm wild wise yellow blue bright calm careful cheerful curious friendly grumpy
""")

# Things that people ask about and that the pocket model knows nothing of.
TOPICS = words("""
history, politics, the stock market, quantum physics, chemistry, biology, philosophy, economics,
football results, the news, movies, music charts, computer games, cooking, medicine, law, taxes,
religion, psychology, astronomy, the Roman Empire, the French Revolution, world war two,
dinosaurs, black holes, climate change, electric cars, cryptocurrency, machine learning,
transformers, databases, operating systems, compilers, cloud computing, blockchain,
photosynthesis, evolution, genetics, vitamins, yoga, chess openings, opera, ballet,
impressionism, Shakespeare's plays, Greek myths, the Olympic games, the world cup, Formula One,
gardening, knitting, fishing, wine, travel, hotels, flights, space travel, the moon landing,
relativity, calculus, algebra, statistics, volcanoes, earthquakes, hurricanes, tides, whales,
birds of prey, mushrooms, bread baking, sushi, marketing, investing, job interviews, grammar,
poetry, linguistics, archaeology, democracy, the United Nations, the European Union, the
constitution, human rights, insurance, mortgages""")

WORDS = tuple(
    dict.fromkeys(
        [w for w in (*NOUNS, *MASS_NOUNS, *VERBS, *ADJECTIVES) if w.isalpha()]
        + [w for row in world.OPPOSITES for w in row if w.isalpha()]
        + [w for members in world.CATEGORIES.values() for w in members if w.isalpha()]
        + [row[0] for row in world.ANIMALS]
        + list(
            words("""
strawberry elephant chocolate mississippi banana butterfly computer keyboard language hello world
python webgpu browser pocket model token kernel garden rainbow mountain adventure beautiful
tomorrow yesterday important different together children morning evening birthday question answer
letter umbrella dinosaur crocodile kangaroo pineapple watermelon pumpkin sandwich breakfast
dinner kitchen holiday weekend hospital library museum restaurant telephone television bicycle
airplane helicopter level radar noon madam racecar kayak civic refer apricot almond anchor arrow
autumn badge bakery balloon beach blanket border bucket bubble cabin canal carpet cellar cherry
corner cotton crayon cricket crown dentist desert diamond doctor dollar donkey dough eagle earth
elbow empire energy engineer event example factory family famous father feather fever figure
flame flavour forest fossil freedom funny galaxy ghost giant ginger globe goblin grape habit
harbour helmet history honest horizon humour hunter insect jelly jigsaw journey jungle justice
kettle kingdom knight ladder lantern laptop laughter lemonade lightning lizard luggage magic
marble meadow medal memory metal midnight minute mirror mistake monster muscle mystery nature
needle neighbour number object ocean opinion orchard oxygen packet palace parade parrot pattern
peanut pepper perfect picnic pillow pirate planet plastic pocket police powder present price
prince prize problem promise purple puzzle quarter quiet rabbit reason recipe rocket sailor salad
sample saturn school science season second secret shadow shelter shoulder signal silence silver
sister sister skeleton spring square station stomach street student summer sunset surface
surprise system teacher temple theatre thunder ticket tiger tongue tunnel turkey twelve uncle
unicorn useful valley vampire vegetable velvet victory village violin visitor volcano wagon
weather whisper winter wonder yellow zipper zero""")
        )
    )
)

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ONSETS = words("""
b bl br c ch cl cr d dr f fl fr g gl gr h j k kl l m n p pl pr qu r s sh sk sl sn sp st t th tr v
w z zw
""")
_VOWELS = words("a e i o u ai au ea ee ei ia oo ou")
_CODAS = words("b ck d f g k l ll m n nd ng nt p r rk rt s ss st t x z")


def made_up(draw: Draw) -> str:
    """A word that is in no list: syllables, pieces of known words, or plain random letters."""
    kind = draw.random()
    if kind < 0.35:
        word = "".join(
            draw.choice(_ONSETS) + draw.choice(_VOWELS) for _ in range(1 + draw.below(3))
        )
        return word + (draw.choice(_CODAS) if draw.chance(0.6) else "")
    if kind < 0.7:
        first, second = draw.choice(WORDS), draw.choice(WORDS)
        return first[: 2 + draw.below(4)] + second[-2 - draw.below(3) :]
    return "".join(draw.choice(_LETTERS) for _ in range(2 + draw.below(7)))
