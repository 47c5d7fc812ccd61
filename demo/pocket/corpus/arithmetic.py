"""Sums, differences, small tables, comparisons and counting.

Held out are pairs of numbers: a pair of the other side of the split never occurs here in any
phrasing, nor the other way round (a sum's pair has no order).
"""

from __future__ import annotations

from collections.abc import Callable

from .core import Draw, Noise, Turn, capitalise, words

__all__ = [
    "FAMILIES",
    "difference",
    "keep_difference",
    "keep_sum",
    "number_word",
    "sum_",
    "sum_or_difference",
]

_ONES = words("""
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""")
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")


def number_word(n: int) -> str:
    """0 to 999 in words."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")
    hundreds, rest = divmod(n, 100)
    word = f"{_ONES[hundreds]} hundred"
    return f"{word} and {number_word(rest)}" if rest else word


def keep_sum(draw: Draw, a: int, b: int) -> bool:
    """Whether a + b belongs to the drawn side of the split."""
    return draw.keep(f"sum {min(a, b)} {max(a, b)}")


def keep_difference(draw: Draw, a: int, b: int) -> bool:
    """Whether a - b belongs to the drawn side of the split."""
    return draw.keep(f"difference {a} {b}")


_SUM_ASKS = (
    "What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a} + {b} =", "{a}+{b}",
    "{a}+{b}=?", "{a} plus {b}", "Add {a} and {b}.", "Calculate {a} + {b}.",
    "How much is {a} + {b}?", "How much is {a} plus {b}?", "What is the sum of {a} and {b}?",
    "Sum of {a} and {b}?", "Compute {a} + {b}.", "What do you get when you add {a} and {b}?",
    "{a} and {b} together?", "Add {b} to {a}.", "Please add {a} and {b}.",
    "Can you add {a} and {b}?", "Work out {a} + {b}.", "What does {a} + {b} equal?",
    "Tell me {a} + {b}.", "Solve {a} + {b}.", "What's {a} + {b}?", "What's {a}+{b}?",
    "What is {a}+{b}?", "I have {a} apples and get {b} more. How many do I have?",
    "There are {a} birds and {b} more come. How many birds are there?",
    "How many are {a} and {b}?", "{a} + {b} = ?", "Result of {a} + {b}?", "{a}+{b}?", "{a} + {b}?",
    "{a} plus {b} is", "{a} + {b} is",
)  # fmt: skip
_DIFFERENCE_ASKS = (
    "What is {a} - {b}?", "What is {a} minus {b}?", "{a} - {b}", "{a} - {b} =", "{a}-{b}",
    "{a}-{b}=?", "{a} minus {b}", "Subtract {b} from {a}.", "Calculate {a} - {b}.",
    "How much is {a} - {b}?", "How much is {a} minus {b}?", "Take {b} away from {a}.",
    "Compute {a} - {b}.", "{a} take away {b}?", "What do you get when you subtract {b} from {a}?",
    "{a} less {b}?", "What's {a}-{b}?", "Please subtract {b} from {a}.",
    "Can you subtract {b} from {a}?", "Work out {a} - {b}.", "What does {a} - {b} equal?",
    "Tell me {a} - {b}.", "Solve {a} - {b}.", "What's {a} - {b}?",
    "I have {a} apples and eat {b}. How many are left?", "{a} - {b} = ?", "What is {a}-{b}?",
    "There are {a} birds and {b} fly away. How many stay?", "Result of {a} - {b}?",
    "What is the difference of {a} and {b}?", "{a}-{b}?", "{a} - {b}?", "{a} minus {b} is",
)  # fmt: skip


def _number(draw: Draw) -> int:
    """0 to 99; small numbers, which people type first, more often than their share."""
    return draw.below(100) if draw.chance(0.8) else draw.below(21)


def _phrase(draw: Draw, ask: str, *numbers: int) -> str:
    in_words = draw.chance(0.06) and "+" not in ask and "-" not in ask
    a, b = (number_word(n) if in_words else str(n) for n in numbers)
    return capitalise(ask.replace("{a}", a).replace("{b}", b))


def sum_(draw: Draw) -> Turn:
    """a + b of numbers up to 99."""
    a, b = _number(draw), _number(draw)
    while not keep_sum(draw, a, b):
        a, b = _number(draw), _number(draw)
    user = _phrase(draw, draw.choice(_SUM_ASKS), a, b)
    return Turn(user, f"{a} + {b} = {a + b}.", str(a + b), family="sum", follow=_more(a + b))


def difference(draw: Draw) -> Turn:
    """a - b of numbers up to 99, now and then below zero."""
    while True:
        a, b = _number(draw), _number(draw)
        if a < b and draw.chance(0.85):
            a, b = b, a
        if keep_difference(draw, a, b):
            break
    user = _phrase(draw, draw.choice(_DIFFERENCE_ASKS), a, b)
    follow = _more(a - b) if a >= b else None
    return Turn(user, f"{a} - {b} = {a - b}.", str(a - b), family="difference", follow=follow)


def sum_or_difference(draw: Draw) -> Turn:
    """One of the two."""
    return sum_(draw) if draw.chance(0.5) else difference(draw)


_PLUS = ("And {n} more?", "Plus {n}?", "Add {n}.", "Now add {n}.", "And plus {n}?", "+ {n}", "+{n}")
_MINUS = (
    "Minus {n}?",
    "Now minus {n}?",
    "Subtract {n}.",
    "Take {n} away.",
    "And minus {n}?",
    "- {n}",
)


def _more(value: int) -> Callable[[Draw], Turn] | None:
    """Going on from the last result."""
    if value > 99:
        return None

    def follow(draw: Draw) -> Turn:
        asks: tuple[str, ...]
        while True:
            n = draw.below(30) if draw.chance(0.7) else draw.below(100)
            if draw.chance(0.6) and keep_sum(draw, value, n):
                result, sign, asks = value + n, "+", _PLUS
                break
            if value >= n and keep_difference(draw, value, n):
                result, sign, asks = value - n, "-", _MINUS
                break
        user = draw.choice(asks).replace("{n}", str(n))
        reply = f"{value} {sign} {n} = {result}."
        return Turn(user, reply, str(result), family="follow_sum", follow=_more(result))

    return follow


def three_terms(draw: Draw) -> Turn:
    """a + b + c of small numbers."""
    while True:
        a, b, c = draw.below(21), draw.below(21), draw.below(21)
        if keep_sum(draw, a, b) and keep_sum(draw, b, c) and keep_sum(draw, a + b, c):
            break
    ask = draw.choice(("What is {}?", "{}", "{} =", "Calculate {}.", "How much is {}?", "Add {}."))
    joined = f"{a} + {b} + {c}" if draw.chance(0.8) else f"{a}+{b}+{c}"
    total = a + b + c
    return Turn(ask.format(joined), f"{a} + {b} + {c} = {total}.", str(total), family="three_terms")


_TIMES = ("What is {a} times {b}?", "{a} times {b}", "What is {a} * {b}?", "{a} * {b}", "{a} x {b}",
          "What is {a} x {b}?", "Multiply {a} by {b}.", "How much is {a} times {b}?", "{a}*{b}",
          "Calculate {a} * {b}.", "What is the product of {a} and {b}?", "What's {a} times {b}?",
          "Multiply {a} and {b}.", "{a} multiplied by {b}?")  # fmt: skip
_DIVIDE = ("What is {a} divided by {b}?", "{a} divided by {b}", "What is {a} / {b}?", "{a} / {b}",
           "Divide {a} by {b}.", "How much is {a} divided by {b}?", "{a}/{b}", "What is {a}/{b}?",
           "Calculate {a} / {b}.", "What's {a} divided by {b}?")  # fmt: skip


def product_or_quotient(draw: Draw) -> Turn:
    """The tables up to 12, both ways."""
    a, b = draw.below(13), draw.below(13)
    if b and draw.chance(0.35):
        user = _phrase(draw, draw.choice(_DIVIDE), a * b, b)
        return Turn(user, f"{a * b} / {b} = {a}.", str(a), family="quotient")
    user = _phrase(draw, draw.choice(_TIMES), a, b)
    return Turn(user, f"{a} x {b} = {a * b}.", str(a * b), family="product")


_SINGLE: tuple[tuple[tuple[str, ...], Callable[[int], tuple[str, str]]], ...] = (
    (("What is double {n}?", "Double {n}.", "What is twice {n}?", "Twice {n}?"),
     lambda n: (f"Double {n} is {2 * n}.", str(2 * n))),
    (("What number comes after {n}?", "Which number comes after {n}?", "What comes after {n}?",
      "What is the next number after {n}?", "Next after {n}?"),
     lambda n: (f"{n + 1} comes after {n}.", str(n + 1))),
    (("What number comes before {n}?", "Which number comes before {n}?", "What comes before {n}?",
      "What is the number before {n}?"),
     lambda n: (f"{n - 1} comes before {n}.", str(n - 1))),
    (("Is {n} even or odd?", "Even or odd: {n}?", "Is the number {n} even or odd?"),
     lambda n: (f"{n} is {'odd' if n % 2 else 'even'}.", "odd" if n % 2 else "even")),
    (("Is {n} even?", "Is {n} an even number?"),
     lambda n: (f"No, {n} is odd.", "No") if n % 2 else (f"Yes, {n} is even.", "Yes")),
    (("Is {n} odd?", "Is {n} an odd number?"),
     lambda n: (f"Yes, {n} is odd.", "Yes") if n % 2 else (f"No, {n} is even.", "No")),
    (("Write {n} in words.", "How do you write {n} in words?", "What is {n} in words?",
      "Spell the number {n}.", "{n} in words?", "Say {n} in words.", "Turn {n} into words."),
     lambda n: (f"{n} in words is {number_word(n)}.", number_word(n))),
    (("Write {w} as a number.", "What is {w} in digits?", "Write {w} in digits.",
      "Which number is {w}?", "{w} as a number?", "Turn {w} into a number."),
     lambda n: (f"{capitalise(number_word(n))} is {n}.", str(n))),
)  # fmt: skip


def one_number(draw: Draw) -> Turn:
    """Something about one number: its double, its neighbour, its word."""
    asks, answer = draw.choice(_SINGLE)
    n = 1 + (draw.below(199) if draw.chance(0.3) else draw.below(99))
    while not keep_sum(draw, n, n):  # its double is a sum
        n = 1 + draw.below(199)
    reply, short = answer(n)
    user = capitalise(draw.choice(asks).replace("{n}", str(n)).replace("{w}", number_word(n)))
    return Turn(user, reply, short, family="one_number")


def comparison(draw: Draw) -> Turn:
    """The larger or smaller of some numbers, or all of them in order."""
    numbers = draw.sample(range(100), 2 if draw.chance(0.5) else draw.choice((3, 4, 5)))
    listed = ", ".join(map(str, numbers))
    if len(numbers) == 2:
        listed = f"{numbers[0]} or {numbers[1]}"
        larger = draw.chance(0.5)
        word = draw.choice(("bigger", "larger", "greater", "more") if larger else
                           ("smaller", "less"))  # fmt: skip
        best = max(numbers) if larger else min(numbers)
        other = min(numbers) if larger else max(numbers)
        user = draw.choice((f"Which is {word}, {listed}?", f"What is {word}: {listed}?",
                            f"Which number is {word}, {listed}?"))  # fmt: skip
        relation = "larger" if larger else "smaller"
        return Turn(user, f"{best} is {relation} than {other}.", str(best), family="comparison")
    if draw.chance(0.5):
        user = draw.choice((f"Sort {listed}.", f"Sort these numbers: {listed}.",
                            f"Put {listed} in order.", f"Order the numbers {listed}."))  # fmt: skip
        reply = ", ".join(map(str, sorted(numbers)))
        return Turn(user, f"In order: {reply}.", reply, family="sorting")
    larger = draw.chance(0.5)
    word = draw.choice(("largest", "biggest", "greatest") if larger else ("smallest", "least"))
    best = max(numbers) if larger else min(numbers)
    user = draw.choice((f"What is the {word} of {listed}?", f"Which is the {word}: {listed}?",
                        f"Find the {word} number: {listed}."))  # fmt: skip
    kind = "largest" if larger else "smallest"
    return Turn(user, f"The {kind} is {best}.", str(best), family="comparison")


def counting(draw: Draw) -> Turn:
    """Counting up or down, by ones, twos, fives or tens."""
    step = draw.choice((1, 1, 1, 2, 5, 10))
    if draw.chance(0.4):
        first, count = step, draw.choice((5, 10, 10, 10)) if step > 1 else draw.choice((5, 10, 20))
    else:
        first, count = 1 + draw.below(40), 4 + draw.below(9)
    numbers = list(range(first, first + count * step, step))
    by = (
        f" by {('', '', 'twos', '', '', 'fives', '', '', '', '', 'tens')[step]}" if step > 1 else ""
    )
    if draw.chance(0.3):
        numbers.reverse()
        user = draw.choice(
            ("Count down from {a} to {b}{by}.", "Count backwards from {a} to {b}{by}.")
        )
    else:
        user = draw.choice(("Count from {a} to {b}{by}.", "Count {a} to {b}{by}.",
                            "Can you count from {a} to {b}{by}?"))  # fmt: skip
        if numbers[0] == 1 and step == 1 and draw.chance(0.4):
            user = draw.choice(("Count to {b}.", "Can you count to {b}?", "Count up to {b}."))
    user = user.format(a=numbers[0], b=numbers[-1], by=by)
    return Turn(user, ", ".join(map(str, numbers)), family="counting", noise=Noise.CASE)


FAMILIES = (
    (sum_or_difference, 12.0),
    (three_terms, 0.8),
    (product_or_quotient, 2.0),
    (one_number, 2.0),
    (comparison, 1.5),
    (counting, 1.0),
)
