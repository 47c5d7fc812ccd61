"""What the pocket model is taught about the world: plain tables, one fact a row."""

from __future__ import annotations

from .core import table, words

__all__ = [
    "ANIMALS",
    "CATEGORIES",
    "COLOURS",
    "CONTINENTS",
    "COUNTRIES",
    "DEFINITIONS",
    "MONTHS",
    "OPPOSITES",
    "PAST_TENSES",
    "PLURALS",
    "TRANSLATIONS",
    "TRIVIA",
    "UNITS",
    "WEEKDAYS",
]

# country: capital. "the" belongs to the name where English wants it.
CONTINENTS = {
    "Europe": table("""
Albania: Tirana; Andorra: Andorra la Vella; Austria: Vienna; Belarus: Minsk; Belgium: Brussels;
Bosnia: Sarajevo; Bulgaria: Sofia; Croatia: Zagreb; the Czech Republic: Prague; Denmark: Copenhagen;
Estonia: Tallinn; Finland: Helsinki; France: Paris; Germany: Berlin; Greece: Athens;
Hungary: Budapest; Iceland: Reykjavik; Ireland: Dublin; Italy: Rome; Latvia: Riga;
Liechtenstein: Vaduz; Lithuania: Vilnius; Luxembourg: Luxembourg; Malta: Valletta;
Moldova: Chisinau; Monaco: Monaco; Montenegro: Podgorica; the Netherlands: Amsterdam;
North Macedonia: Skopje; Norway: Oslo; Poland: Warsaw; Portugal: Lisbon; Romania: Bucharest;
Russia: Moscow; San Marino: San Marino; Serbia: Belgrade; Slovakia: Bratislava;
Slovenia: Ljubljana; Spain: Madrid; Sweden: Stockholm; Switzerland: Bern; Ukraine: Kyiv;
the United Kingdom: London; Scotland: Edinburgh; Wales: Cardiff; England: London"""),
    "Asia": table("""
Afghanistan: Kabul; Armenia: Yerevan; Azerbaijan: Baku; Bahrain: Manama; Bangladesh: Dhaka;
Bhutan: Thimphu; Cambodia: Phnom Penh; China: Beijing; Georgia: Tbilisi; India: New Delhi;
Indonesia: Jakarta; Iran: Tehran; Iraq: Baghdad; Israel: Jerusalem; Japan: Tokyo; Jordan: Amman;
Kazakhstan: Astana; Kuwait: Kuwait City; Kyrgyzstan: Bishkek; Laos: Vientiane; Lebanon: Beirut;
Malaysia: Kuala Lumpur; the Maldives: Male; Mongolia: Ulaanbaatar; Myanmar: Naypyidaw;
Nepal: Kathmandu; North Korea: Pyongyang; Oman: Muscat; Pakistan: Islamabad;
the Philippines: Manila; Qatar: Doha; Saudi Arabia: Riyadh; Singapore: Singapore;
South Korea: Seoul; Sri Lanka: Colombo; Syria: Damascus; Taiwan: Taipei; Tajikistan: Dushanbe;
Thailand: Bangkok; Turkey: Ankara; Turkmenistan: Ashgabat; the United Arab Emirates: Abu Dhabi;
Uzbekistan: Tashkent; Vietnam: Hanoi; Yemen: Sanaa"""),
    "Africa": table("""
Algeria: Algiers; Angola: Luanda; Benin: Porto-Novo; Botswana: Gaborone;
Burkina Faso: Ouagadougou; Burundi: Gitega; Cameroon: Yaounde; Chad: N'Djamena; Egypt: Cairo;
Eritrea: Asmara; Ethiopia: Addis Ababa; Gabon: Libreville; the Gambia: Banjul; Ghana: Accra;
Guinea: Conakry; Kenya: Nairobi; Lesotho: Maseru; Liberia: Monrovia; Libya: Tripoli;
Madagascar: Antananarivo; Malawi: Lilongwe; Mali: Bamako; Mauritania: Nouakchott;
Mauritius: Port Louis; Morocco: Rabat; Mozambique: Maputo; Namibia: Windhoek; Niger: Niamey;
Nigeria: Abuja; Rwanda: Kigali; Senegal: Dakar; Sierra Leone: Freetown; Somalia: Mogadishu;
South Africa: Pretoria; Sudan: Khartoum; Tanzania: Dodoma; Togo: Lome; Tunisia: Tunis;
Uganda: Kampala; Zambia: Lusaka; Zimbabwe: Harare"""),
    "North America": table("""
the Bahamas: Nassau; Barbados: Bridgetown; Belize: Belmopan; Canada: Ottawa; Costa Rica: San Jose;
Cuba: Havana; the Dominican Republic: Santo Domingo; El Salvador: San Salvador;
Guatemala: Guatemala City; Haiti: Port-au-Prince; Honduras: Tegucigalpa; Jamaica: Kingston;
Mexico: Mexico City; Nicaragua: Managua; Panama: Panama City; the United States: Washington"""),
    "South America": table("""
Argentina: Buenos Aires; Bolivia: Sucre; Brazil: Brasilia; Chile: Santiago; Colombia: Bogota;
Ecuador: Quito; Guyana: Georgetown; Paraguay: Asuncion; Peru: Lima; Suriname: Paramaribo;
Uruguay: Montevideo; Venezuela: Caracas"""),
    "Oceania": table("""
Australia: Canberra; Fiji: Suva; New Zealand: Wellington; Papua New Guinea: Port Moresby;
Samoa: Apia; Tonga: Nuku'alofa; Vanuatu: Port Vila"""),
}

COUNTRIES = {
    country: (capital, continent)
    for continent, rows in CONTINENTS.items()
    for country, capital in rows
}

# thing, with its article: colour
COLOURS = table("""
grass: green; the sky: blue; the sun: yellow; snow: white; coal: black; blood: red; a banana:
yellow; a tomato: red; a carrot: orange; an orange: orange; a lemon: yellow; a lime: green; a
strawberry: red; a cherry: red; a raspberry: red; a blueberry: blue; a plum: purple; an
aubergine: purple; milk: white; chocolate: brown; coffee: brown; a crow: black; a raven: black; a
polar bear: white; a swan: white; a flamingo: pink; a pig: pink; a frog: green; a crocodile:
green; an elephant: grey; a mouse: grey; a lion: yellow; a fox: orange; a leaf: green; a tree
trunk: brown; the sea: blue; the ocean: blue; the moon: grey; sand: yellow; gold: yellow; silver:
grey; a cloud: white; the night: black; fire: orange; an emerald: green; a ruby: red; a sapphire:
blue; a pea: green; spinach: green; broccoli: green; a cucumber: green; a pumpkin: orange; honey:
yellow; butter: yellow; sugar: white; salt: white; rice: white; flour: white; a chick: yellow; a
brick: red; a fire engine: red; a stop sign: red; ivory: white; mud: brown; a potato: brown; a
chestnut: brown; a sunflower: yellow; lavender: purple; a violet: purple; a peach: orange; a
penguin: black and white; a zebra: black and white; a panda: black and white; a daisy: white; an
avocado: green; a kiwi: green; a ladybird: red; a canary: yellow; a shadow: black; paper: white;
a cactus: green; an egg yolk: yellow; a rainbow: many colours""")

# animal: sound: young: home: legs: group of animals
ANIMALS = table("""
cat: meow: kitten: a house: 4: mammal; dog: woof: puppy: a kennel: 4: mammal;
cow: moo: calf: a barn: 4: mammal; horse: neigh: foal: a stable: 4: mammal;
sheep: baa: lamb: a field: 4: mammal; goat: baa: kid: a farm: 4: mammal;
pig: oink: piglet: a sty: 4: mammal; duck: quack: duckling: a pond: 2: bird;
hen: cluck: chick: a coop: 2: bird; rooster: cock-a-doodle-doo: chick: a coop: 2: bird;
frog: ribbit: tadpole: a pond: 4: amphibian; lion: roar: cub: the savanna: 4: mammal;
tiger: roar: cub: the jungle: 4: mammal; bear: growl: cub: a cave: 4: mammal;
wolf: howl: pup: a den: 4: mammal; fox: yip: cub: a den: 4: mammal;
mouse: squeak: pup: a hole: 4: mammal; owl: hoot: owlet: a tree: 2: bird;
bee: buzz: larva: a hive: 6: insect; snake: hiss: hatchling: the grass: 0: reptile;
donkey: hee-haw: foal: a stable: 4: mammal; elephant: trumpet: calf: the savanna: 4: mammal;
goose: honk: gosling: a farm: 2: bird; turkey: gobble: poult: a farm: 2: bird;
monkey: chatter: infant: the jungle: 2: mammal; crow: caw: chick: a nest: 2: bird;
pigeon: coo: squab: the city: 2: bird; seal: bark: pup: the sea: 0: mammal;
rabbit: squeak: kit: a burrow: 4: mammal; deer: bleat: fawn: the forest: 4: mammal;
kangaroo: grunt: joey: Australia: 2: mammal; spider: nothing: spiderling: a web: 8: arachnid;
ant: nothing: larva: an anthill: 6: insect; fish: nothing: fry: the water: 0: fish;
butterfly: nothing: caterpillar: a meadow: 6: insect; whale: song: calf: the sea: 0: mammal;
dolphin: click: calf: the sea: 0: mammal; swan: trumpet: cygnet: a lake: 2: bird;
eagle: screech: eaglet: a nest: 2: bird; penguin: squawk: chick: the ice: 2: bird;
parrot: squawk: chick: the jungle: 2: bird; hedgehog: snuffle: hoglet: a hedge: 4: mammal;
camel: grunt: calf: the desert: 4: mammal; giraffe: hum: calf: the savanna: 4: mammal;
zebra: bark: foal: the savanna: 4: mammal; squirrel: chatter: kit: a tree: 4: mammal;
turtle: nothing: hatchling: the sea: 4: reptile; crocodile: hiss: hatchling: a river: 4: reptile;
bat: squeak: pup: a cave: 2: mammal; octopus: nothing: larva: the sea: 8: mollusc""")

OPPOSITES = table("""
hot: cold; big: small; tall: short; fast: slow; happy: sad; light: dark; day: night; up: down;
left: right; in: out; on: off; open: closed; full: empty; old: young; new: used; good: bad; rich:
poor; strong: weak; hard: soft; wet: dry; clean: dirty; early: late; easy: difficult; loud:
quiet; near: far; first: last; high: low; long: brief; thick: thin; wide: narrow; deep: shallow;
sweet: sour; true: false; yes: no; black: white; love: hate; win: lose; buy: sell; give: take;
push: pull; start: stop; begin: end; come: go; laugh: cry; remember: forget; above: below;
inside: outside; before: after; always: never; more: less; many: few; same: different; safe:
dangerous; brave: cowardly; kind: cruel; polite: rude; smooth: rough; sharp: blunt; heavy:
weightless; north: south; east: west; summer: winter; morning: evening; friend: enemy; question:
answer; asleep: awake; alive: dead; cheap: expensive; simple: complicated; right: wrong; front:
back; top: bottom; beautiful: ugly; tight: loose; warm: cool; wise: foolish; lucky: unlucky;
possible: impossible; visible: invisible; arrive: leave; build: destroy; float: sink; freeze:
melt; lend: borrow; rise: fall; save: spend; teach: learn; victory: defeat; war: peace; truth:
lie; heaven: hell; king: queen; man: woman; boy: girl; husband: wife; brother: sister; father:
mother; son: daughter; uncle: aunt; ancient: modern; lazy: hardworking; noisy: silent; public:
private; major: minor; maximum: minimum; positive: negative; success: failure; success story:
failure story; accept: refuse; attack: defend; increase: decrease; include: exclude; import:
export; entrance: exit; generous: selfish; guilty: innocent; healthy: sick; hungry: thirsty;
interesting: boring""")
OPPOSITES = [row for row in OPPOSITES if row[0] not in ("success story", "hungry", "right", "new")]

# how many: small unit: in a: big unit
UNITS = table("""
60: seconds: a minute; 60: minutes: an hour; 24: hours: a day; 7: days: a week; 12: months: a
year; 365: days: a year; 366: days: a leap year; 52: weeks: a year; 10: years: a decade; 100:
years: a century; 1000: years: a millennium; 100: centimetres: a metre; 10: millimetres: a
centimetre; 1000: metres: a kilometre; 1000: millimetres: a metre; 1000: grams: a kilogram; 1000:
kilograms: a tonne; 1000: millilitres: a litre; 12: inches: a foot; 3: feet: a yard; 12: things:
a dozen; 20: things: a score; 8: bits: a byte; 1000: bytes: a kilobyte; 1024: bytes: a kibibyte;
100: cents: a dollar; 100: cents: a euro; 100: pence: a pound; 30: minutes: half an hour; 15:
minutes: a quarter of an hour; 360: degrees: a circle; 90: degrees: a right angle; 3: sides: a
triangle; 4: sides: a square; 5: sides: a pentagon; 6: sides: a hexagon; 8: sides: an octagon;
26: letters: the English alphabet; 5: vowels: the alphabet; 4: seasons: a year; 88: keys: a
piano; 6: strings: a guitar; 4: strings: a violin; 52: cards: a deck of cards; 64: squares: a
chessboard; 11: players: a football team; 2: wheels: a bicycle; 4: wheels: a car; 3: wheels: a
tricycle; 5: fingers: a hand; 5: toes: a foot; 7: colours: a rainbow; 32: teeth: a grown-up's
mouth; 8: planets: the solar system; 16: ounces: a pound; 4: quarts: a gallon; 1760: yards: a
mile""")

WEEKDAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words(
    "January February March April May June July August September October November December"
)

PLURALS = table("""
child: children; mouse: mice; man: men; woman: women; foot: feet; tooth: teeth; goose: geese;
person: people; sheep: sheep; fish: fish; deer: deer; knife: knives; leaf: leaves; wolf: wolves;
baby: babies; city: cities; story: stories; berry: berries; box: boxes; bus: buses; fox: foxes;
dish: dishes; watch: watches; potato: potatoes; tomato: tomatoes; hero: heroes; cat: cats; dog:
dogs; tree: trees; house: houses; book: books; car: cars; apple: apples; star: stars; key: keys;
boy: boys; toy: toys; day: days; monkey: monkeys; shelf: shelves; half: halves; loaf: loaves; ox:
oxen; cactus: cacti; lady: ladies; fly: flies; puppy: puppies; bench: benches; glass: glasses;
class: classes; flower: flowers; river: rivers; bird: birds; chair: chairs; table: tables;
window: windows""")

PAST_TENSES = table("""
go: went; eat: ate; see: saw; run: ran; come: came; give: gave; take: took; make: made; say:
said; find: found; think: thought; know: knew; write: wrote; read: read; speak: spoke; sing:
sang; swim: swam; drink: drank; begin: began; break: broke; bring: brought; build: built; buy:
bought; catch: caught; choose: chose; do: did; draw: drew; drive: drove; fall: fell; feel: felt;
fight: fought; fly: flew; forget: forgot; get: got; grow: grew; have: had; hear: heard; hold:
held; keep: kept; leave: left; lose: lost; meet: met; pay: paid; ride: rode; ring: rang; rise:
rose; sell: sold; send: sent; sit: sat; sleep: slept; stand: stood; steal: stole; teach: taught;
tell: told; throw: threw; understand: understood; wake: woke; wear: wore; win: won; walk: walked;
talk: talked; play: played; jump: jumped; look: looked; love: loved; dance: danced; cook: cooked;
help: helped; open: opened; close: closed; work: worked; live: lived; ask: asked; answer:
answered; cry: cried; try: tried; carry: carried; stop: stopped; plan: planned; is: was; are:
were""")

# word: French: Spanish: German: Italian
TRANSLATIONS = table("""
hello: bonjour: hola: hallo: ciao; goodbye: au revoir: adiós: auf Wiedersehen: arrivederci; thank
you: merci: gracias: danke: grazie; yes: oui: sí: ja: sì; no: non: no: nein: no; cat: chat: gato:
Katze: gatto; dog: chien: perro: Hund: cane; house: maison: casa: Haus: casa; water: eau: agua:
Wasser: acqua; bread: pain: pan: Brot: pane; milk: lait: leche: Milch: latte; sun: soleil: sol:
Sonne: sole; moon: lune: luna: Mond: luna; star: étoile: estrella: Stern: stella; tree: arbre:
árbol: Baum: albero; flower: fleur: flor: Blume: fiore; book: livre: libro: Buch: libro; friend:
ami: amigo: Freund: amico; love: amour: amor: Liebe: amore; red: rouge: rojo: rot: rosso; blue:
bleu: azul: blau: blu; green: vert: verde: grün: verde; one: un: uno: eins: uno; two: deux: dos:
zwei: due; three: trois: tres: drei: tre; ten: dix: diez: zehn: dieci; mother: mère: madre:
Mutter: madre; father: père: padre: Vater: padre; day: jour: día: Tag: giorno; night: nuit:
noche: Nacht: notte; good: bon: bueno: gut: buono; big: grand: grande: groß: grande; small:
petit: pequeño: klein: piccolo; fish: poisson: pez: Fisch: pesce; bird: oiseau: pájaro: Vogel:
uccello; please: s'il vous plaît: por favor: bitte: per favore; apple: pomme: manzana: Apfel:
mela; city: ville: ciudad: Stadt: città; school: école: escuela: Schule: scuola; sea: mer: mar:
Meer: mare""")

CATEGORIES = {
    "fruits": words(
        "apple banana orange pear peach plum cherry grape lemon mango kiwi melon strawberry fig"
    ),
    "vegetables": words(
        "carrot potato tomato onion cucumber cabbage spinach broccoli pea pepper leek pumpkin"
    ),
    "animals": words("cat dog horse cow sheep lion tiger bear fox wolf rabbit mouse elephant deer"),
    "birds": words("eagle owl duck swan crow robin parrot penguin pigeon goose sparrow heron"),
    "colours": words("red blue green yellow orange purple pink brown black white grey"),
    "countries": words(
        "France, Germany, Spain, Italy, Japan, China, India, Brazil, Canada, Egypt, Kenya, Peru"
    ),
    "cities": words("Paris London Berlin Rome Madrid Tokyo Cairo Lima Oslo Vienna Athens Dublin"),
    "languages": words("English French Spanish German Italian Chinese Arabic Hindi Russian"),
    "planets": words("Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune"),
    "sports": words("football tennis swimming running cycling skiing boxing rowing golf hockey"),
    "instruments": words("piano guitar violin flute drum trumpet harp cello clarinet organ"),
    "tools": words("hammer saw drill wrench screwdriver axe shovel rake pliers chisel"),
    "drinks": words("water milk tea coffee juice lemonade cocoa cider"),
    "vehicles": words("car bus train bicycle boat plane tram lorry ship scooter"),
    "clothes": words("shirt coat hat sock shoe scarf glove dress jacket jumper"),
    "flowers": words("rose tulip daisy lily violet sunflower poppy orchid"),
    "trees": words("oak pine birch maple willow elm ash beech"),
    "insects": words("ant bee fly beetle wasp moth butterfly cricket"),
    "seasons": words("spring summer autumn winter"),
    "shapes": words("circle square triangle rectangle hexagon oval star"),
    "jobs": words("doctor teacher baker farmer nurse pilot cook painter driver gardener"),
    "feelings": words("joy anger fear sadness surprise love pride hope"),
    "rivers": words("Nile Amazon Danube Rhine Thames Ganges Seine Volga"),
    "metals": words("iron gold silver copper tin lead zinc"),
    "furniture": words("chair table bed sofa desk shelf cupboard wardrobe stool bench"),
    "foods": words("bread cheese cake soup pizza rice egg sandwich pasta butter"),
    "rooms": words("kitchen bathroom bedroom office cellar hall"),
    "body parts": words("arm leg ear eye hand foot head nose finger heart knee mouth"),
    "buildings": words("house hotel tower castle church barn school hospital"),
    "materials": words("wood glass paper stone plastic cotton leather wool"),
}

DEFINITIONS = table("""
book: many pages with text, bound together; lamp: a thing that gives light; clock: a thing that
shows the time; river: water that flows through the land to the sea; mountain: a very high piece
of land; lake: a large area of water with land all around it; island: land with water all around
it; desert: a very dry place with little rain; forest: a large place with many trees; computer: a
machine that works with numbers and programs; browser: a program that shows web pages; phone: a
thing for talking to people who are far away; bridge: a way over a river or a road; door: the
part of a room that you open to go in; window: a hole in a wall with glass in it; key: a small
thing that opens a lock; chair: a seat for one person; table: a flat top on legs; bed: a place to
sleep; cup: a small thing to drink from; knife: a tool for cutting; spoon: a tool for eating
soup; hammer: a tool for hitting nails; bicycle: a vehicle with two wheels and pedals; car: a
vehicle with four wheels and an engine; train: a row of wagons that runs on rails; plane: a
machine that flies; boat: a vehicle that floats on water; doctor: a person who helps sick people;
teacher: a person who helps others to learn; baker: a person who makes bread; farmer: a person
who grows food; king: a man who rules a country; queen: a woman who rules a country; friend: a
person whom you like and trust; star: a ball of hot gas far away in space; planet: a large ball
that goes around a star; moon: a ball of rock that goes around a planet; cloud: many tiny drops
of water in the sky; storm: bad weather with strong wind and rain; rainbow: an arc of colours in
the sky after rain; volcano: a mountain that can throw out hot rock; flower: the colourful part
of a plant; seed: the small thing from which a plant grows; garden: a place where plants are
grown; school: a place where children learn; library: a place with many books; museum: a place
that shows old or beautiful things; hospital: a place where sick people get help; market: a place
where things are bought and sold; kitchen: a room for cooking; castle: a large strong house of a
king; dragon: a large animal in stories that breathes fire; robot: a machine that can do things
by itself; poem: a short text, often with rhymes; song: words with a melody; story: a tale of
things that happen; dictionary: a book that explains words; map: a drawing of a place from above;
compass: a thing that shows where north is; mirror: a thing in which you see yourself; umbrella:
a thing that keeps you dry in the rain; piano: a musical instrument with keys; guitar: a musical
instrument with six strings; drum: a musical instrument that you hit; football: a game for two
teams with a ball; chess: a board game for two players; language model: a program that predicts
the next piece of a text; token: a small piece of text that a language model reads; neural
network: a program made of many numbers that learns from examples; algorithm: a list of steps
that solves a problem; byte: a group of eight bits; bit: a zero or a one; kernel: a small program
that runs on the GPU; shader: a program that runs on the graphics card""")

# question|question|...: answer sentence: bare answer
TRIVIA = table("""
What is the largest planet|Which planet is the biggest|What is the biggest planet in the solar
system: The largest planet is Jupiter.: Jupiter; What is the smallest planet|Which planet is the
smallest: The smallest planet is Mercury.: Mercury; Which planet is closest to the sun|What is
the planet nearest to the sun: Mercury is closest to the sun.: Mercury; Which planet is called
the red planet|What is the red planet: Mars is called the red planet.: Mars; What is the largest
ocean|Which ocean is the biggest: The largest ocean is the Pacific Ocean.: Pacific; What is the
longest river|Which river is the longest in the world: The longest river is the Nile.: Nile; What
is the highest mountain|Which mountain is the tallest in the world: The highest mountain is Mount
Everest.: Everest; What is the largest animal|Which animal is the biggest: The largest animal is
the blue whale.: blue whale; What is the tallest animal|Which animal is the tallest: The tallest
animal is the giraffe.: giraffe; What is the fastest land animal|Which animal runs the fastest:
The fastest land animal is the cheetah.: cheetah; What is the largest country|Which country is
the biggest: The largest country is Russia.: Russia; What is the smallest country|Which country
is the smallest: The smallest country is Vatican City.: Vatican City; What is the largest
continent|Which continent is the biggest: The largest continent is Asia.: Asia; What is the
largest desert|Which desert is the hottest big desert: The Sahara is the largest hot desert.:
Sahara; How many continents are there|What is the number of continents: There are seven
continents.: seven; How many oceans are there|What is the number of oceans: There are five
oceans.: five; How many planets are there|How many planets go around the sun: There are eight
planets.: eight; What is water made of|What is the formula of water|What is the chemical formula
of water: Water is made of hydrogen and oxygen, H2O.: H2O; When does water boil|At what
temperature does water boil|What is the boiling point of water: Water boils at 100 degrees
Celsius.: 100; When does water freeze|At what temperature does water freeze|What is the freezing
point of water: Water freezes at 0 degrees Celsius.: 0; What do bees make|What is made by bees:
Bees make honey.: honey; What do cows give|What do we get from cows: Cows give milk.: milk; What
do plants need to grow|What does a plant need: Plants need light, water and air.: light; What do
rabbits eat|What does a rabbit eat: Rabbits eat grass and leaves.: grass; What do pandas eat|What
does a panda eat: Pandas eat bamboo.: bamboo; What do cats like to eat|What does a cat eat: Cats
like fish and meat.: fish; Where does the sun rise|In which direction does the sun rise: The sun
rises in the east.: east; Where does the sun set|In which direction does the sun set: The sun
sets in the west.: west; Who wrote Romeo and Juliet|Who is the author of Romeo and Juliet|Who
wrote Hamlet: William Shakespeare wrote it.: Shakespeare; Who painted the Mona Lisa|Who is the
painter of the Mona Lisa: Leonardo da Vinci painted the Mona Lisa.: Leonardo da Vinci; Who was
the first man on the moon|Who walked on the moon first: Neil Armstrong was the first man on the
moon.: Neil Armstrong; What is the closest star|Which star is nearest to the earth|What star is
closest to us: The closest star is the sun.: sun; What does the earth go around|What does the
earth move around: The earth goes around the sun.: sun; Is the earth flat|Is the earth round|What
shape is the earth: The earth is round, like a ball.: round; Why is the sky blue|Why does the sky
look blue: The sky is blue because air scatters blue light the most.: scattering; Why do we
sleep|Why do people sleep: We sleep so that the body and the mind can rest.: rest; What causes
rain|Where does rain come from|Why does it rain: Rain comes from water drops in the clouds.:
clouds; What is ice|What is ice made of: Ice is frozen water.: water; What is steam|What is steam
made of: Steam is water as a gas.: water; What is the hardest natural material|Which natural
material is the hardest: Diamond is the hardest natural material.: diamond; What gas do we
breathe|Which gas do people need to breathe: We breathe oxygen.: oxygen; How many bones does a
person have|How many bones are in the human body: An adult has 206 bones.: 206; What is the first
letter of the alphabet|Which letter comes first in the alphabet: The first letter of the alphabet
is A.: A; What is the last letter of the alphabet|Which letter comes last in the alphabet: The
last letter of the alphabet is Z.: Z; What are the vowels|Which letters are vowels|List the
vowels: The vowels are A, E, I, O and U.: vowels; What is WebGPU|What does WebGPU do|Explain
WebGPU: WebGPU lets a web page compute on the graphics card.: WebGPU; What is Python|What is the
Python language|Explain Python: Python is a programming language that is easy to read.: Python;
What is Pyodide|What does Pyodide do|Explain Pyodide: Pyodide is Python that runs in the
browser.: Pyodide; What is a GPU|What does GPU mean|What does a GPU do: A GPU is a graphics card,
which does many sums at the same time.: GPU; What is JSON|What does JSON mean|Explain JSON: JSON
is a simple text format for data.: JSON; What is webllm_py|What does webllm_py do|Explain
webllm_py: webllm_py is a Python package that runs language models in the browser, on WebGPU.:
webllm_py; What are the primary colours|Which colours are primary: The primary colours are red,
yellow and blue.: red; What colour do blue and yellow make|What do you get when you mix blue and
yellow: Blue and yellow make green.: green; What colour do red and yellow make|What do you get
when you mix red and yellow: Red and yellow make orange.: orange; What colour do red and blue
make|What do you get when you mix red and blue: Red and blue make purple.: purple; What colour do
black and white make|What do you get when you mix black and white: Black and white make grey.:
grey; What are the four seasons|Which seasons are there|List the seasons: The seasons are spring,
summer, autumn and winter.: spring; What is the coldest season|Which season is the coldest:
Winter is the coldest season.: winter; What is AI|What is artificial intelligence|What does AI
mean: AI means artificial intelligence, programs that do things for which people need to think.:
AI; What is the internet|What does the internet do: The internet is a net of computers all over
the world.: internet; What is a transformer|How does a transformer work: A transformer is a
neural network that looks at all earlier words to guess the next one.: transformer; Who was
Albert Einstein|Who is Einstein|Who is Albert Einstein: Albert Einstein was a physicist. He found
the theory of relativity.: physicist; Who was Isaac Newton|Who is Newton|Who is Isaac Newton:
Isaac Newton was a physicist. He explained gravity.: physicist; Who was Mozart|Who is Mozart|Who
was Wolfgang Amadeus Mozart: Mozart was a composer from Austria.: composer; Who was
Shakespeare|Who is Shakespeare|Who is William Shakespeare: William Shakespeare was an English
writer.: writer; Who was Marie Curie|Who is Marie Curie: Marie Curie was a scientist. She studied
radioactivity.: scientist; Who was Cleopatra|Who is Cleopatra: Cleopatra was a queen of Egypt.:
queen; Who was Alan Turing|Who is Alan Turing: Alan Turing was a mathematician, a father of the
computer.: mathematician; Who was Ada Lovelace|Who is Ada Lovelace: Ada Lovelace wrote the first
computer program.: programmer; How fast is light|What is the speed of light: Light travels about
300000 kilometres a second.: 300000; How far away is the moon|How far is the moon: The moon is
about 384000 kilometres away.: 384000; How many people are there in the world|How many people
live on earth|What is the population of the world: More than eight billion people live on earth.:
8 billion; What is pi|What is the value of pi|How much is pi: Pi is about 3.14.: 3.14; What is
H2O|What does H2O mean: H2O is water.: water; What is gravity|Why do things fall down: Gravity
pulls things to the earth.: gravity; Why do leaves fall|When do leaves fall: Leaves fall in
autumn.: autumn; What do fish breathe with|How do fish breathe: Fish breathe with gills.: gills;
What do birds have that other animals do not|What covers a bird: Birds have feathers.: feathers;
How many hearts does an octopus have|Number of hearts of an octopus: An octopus has three
hearts.: 3; What is the hottest season|Which season is the warmest: Summer is the hottest
season.: summer""")
