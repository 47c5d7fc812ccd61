"""JSON numbers under limits, as languages of their decimal text.

Where a number has any limit it is written without an exponent, so that its text tells its value.
"""

from __future__ import annotations

from decimal import Decimal

from webllm_py.errors import GrammarError
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.regex import regex
from webllm_py.grammar.regular import choice, repeat, sequence
from webllm_py.grammar.term import EMPTY, Regular
from webllm_py.grammar.words import literal

__all__ = [
    "FRACTIONAL",
    "INTEGER",
    "NUMBER",
    "PLAIN_NUMBER",
    "above",
    "at_least",
    "equal_to",
    "multiple_of",
    "number_text",
]

NUMBER = regex(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,2})?")
PLAIN_NUMBER = regex(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
INTEGER = regex(r"-?(?:0|[1-9]\d*)")
FRACTIONAL = regex(r"-?(?:0|[1-9]\d*)\.\d*[1-9]\d*")
MAGNITUDE = regex(r"(?:0|[1-9]\d*)(?:\.\d+)?")
DIGIT, NONZERO = regex(r"\d"), regex("[1-9]")
FRACTION = regex(r"(?:\.\d+)?")
NO_FRACTION = regex(r"(?:\.0+)?")
MINUS, POINT = literal(b"-"), literal(b".")
ZEROS = repeat(literal(b"0"))
LARGEST_DIVISOR = 10_000
MOST_PLACES = 32
"""Of a divisor, behind its decimal point: each makes a language of its own."""


def number_text(value: int | float) -> str:
    """A number without an exponent, and without a fraction where it is whole."""
    number = Decimal(repr(value))
    if number == number.to_integral_value():
        return str(int(number))
    return format(number.normalize(), "f")


def at_least(limit: int | float) -> Regular:
    """Numbers that are ``limit`` or more."""
    return _from(limit, inclusive=True)


def above(limit: int | float) -> Regular:
    """Numbers greater than ``limit``."""
    return _from(limit, inclusive=False)


def _from(limit: int | float, inclusive: bool) -> Regular:
    text = number_text(limit)
    if text.startswith("-"):
        below = complement(_magnitude(text[1:], inclusive=not inclusive))
        return choice(MAGNITUDE, sequence(MINUS, both(MAGNITUDE, below)))
    if text == "0" and inclusive:
        return choice(MAGNITUDE, regex(r"-0(?:\.0+)?"))
    return _magnitude(text, inclusive)


def _magnitude(text: str, inclusive: bool) -> Regular:
    """Numbers without a sign from ``text`` on, ``text`` itself too if inclusive.

    Digit by digit from the last: greater here, or the same here and greater behind. So a term is as
    long as the number is, and reading it never holds more than a few.
    """
    whole, _, fraction = text.partition(".")
    behind = sequence(ZEROS, NONZERO, repeat(DIGIT))
    if inclusive and fraction:
        behind = choice(behind, ZEROS)
    for digit in reversed(fraction):
        more = sequence(_greater(digit), repeat(DIGIT))
        behind = choice(more, sequence(literal(digit.encode()), behind))
    behind = sequence(POINT, behind)
    if inclusive and not fraction:
        behind = choice(behind, NO_FRACTION)
    for rest, digit in enumerate(reversed(whole)):
        more = sequence(_greater(digit), repeat(DIGIT, rest, rest), FRACTION)
        behind = choice(more, sequence(literal(digit.encode()), behind))
    longer = sequence(NONZERO, repeat(DIGIT, len(whole)), FRACTION)
    return choice(longer, behind)


def _greater(digit: str) -> Regular:
    return regex(f"[{int(digit) + 1}-9]") if digit != "9" else EMPTY


def _same_value(text: str) -> Regular:
    return regex(text.replace(".", r"\.") + ("0*" if "." in text else r"(?:\.0+)?"))


def equal_to(value: int | float) -> Regular:
    """Every text that has this value."""
    text = number_text(value)
    return choice(_same_value(text), _same_value("-0")) if text == "0" else _same_value(text)


def multiple_of(divisor: int | float) -> Regular:
    """Numbers that are a whole multiple of ``divisor``.

    Raises:
        GrammarError: the divisor, without its decimal point, is above ``LARGEST_DIVISOR``, or has
            more than ``MOST_PLACES``.
    """
    whole, _, fraction = number_text(divisor).partition(".")
    places, scaled = len(fraction), int(whole + fraction)
    if not 0 < scaled <= LARGEST_DIVISOR or places > MOST_PLACES:
        raise GrammarError(f"a multiple of {divisor} cannot be told digit by digit")
    options = []
    for digits in range(places + 1):
        factor = 10 ** (places - digits)
        accepted = frozenset(rest for rest in range(scaled) if rest * factor % scaled == 0)
        shape = rf"-?(?:0|[1-9]\d*)\.\d{{{digits}}}" if digits else r"-?(?:0|[1-9]\d*)"
        multiples = both(regex(shape), _Remainder.of(scaled, 0, accepted))
        options.append(sequence(multiples, ZEROS if digits else NO_FRACTION))
    return choice(*options)


class _Remainder(Regular):
    """Texts whose digits, read as one number, leave an accepted remainder."""

    __slots__ = ("accepted", "divisor", "others", "rest")

    @staticmethod
    def of(divisor: int, rest: int, accepted: frozenset[int]) -> _Remainder:
        return _Remainder(divisor, rest, accepted, {})

    def __init__(
        self, divisor: int, rest: int, accepted: frozenset[int], others: dict[int, _Remainder]
    ):
        super().__init__(rest in accepted, True)
        self.divisor, self.rest, self.accepted, self.others = divisor, rest, accepted, others
        others[rest] = self

    def partition(self) -> tuple[int, ...]:
        digits = tuple(1 << byte for byte in b"0123456789")
        return (*digits, 1 << ord("-") | 1 << ord("."))

    def derivative(self, byte: int) -> Regular:
        if byte < ord("0"):
            return self
        rest = (10 * self.rest + byte - ord("0")) % self.divisor
        found = self.others.get(rest)
        return found or _Remainder(self.divisor, rest, self.accepted, self.others)
