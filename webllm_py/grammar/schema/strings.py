"""JSON strings under limits, as languages of what stands between the quotes."""

from __future__ import annotations

from collections.abc import Iterable

from webllm_py.grammar.characters import ANY_CHARACTER, json_escaped, json_text
from webllm_py.grammar.regex import regex, searching
from webllm_py.grammar.regular import repeat
from webllm_py.grammar.term import Regular
from webllm_py.grammar.words import literals

__all__ = ["ANY_TEXT", "FREE_TEXT", "format_named", "length", "matching", "one_of"]

_CHARACTER = json_escaped(ANY_CHARACTER)
ANY_TEXT = repeat(_CHARACTER)
"""Any text, each character in its one form."""
FREE_TEXT = regex(
    r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*"
)
"""Any text, with every escape that JSON has; surrogates only in pairs."""

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])"
_LEAP = (
    r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"  # no year 0
)
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP}-02-29)"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_WORD = "[0-9A-Fa-f]{1,4}"
_TAIL = f"(?:{_WORD}:{_WORD}|{_IPV4})"
_IPV6 = (
    f"(?:(?:{_WORD}:){{6}}{_TAIL}|::(?:{_WORD}:){{5}}{_TAIL}|(?:{_WORD})?::(?:{_WORD}:){{4}}{_TAIL}"
    + "".join(
        f"|(?:(?:{_WORD}:){{0,{n}}}{_WORD})?::(?:{_WORD}:){{{4 - n}}}{_TAIL}" for n in range(1, 5)
    )
    + f"|(?:(?:{_WORD}:){{0,5}}{_WORD})?::{_WORD}|(?:(?:{_WORD}:){{0,6}}{_WORD})?::)"
)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PATH = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
_QUERY = rf"(?:\?(?:[?]|{_PATH})*)?(?:#(?:[?]|{_PATH})*)?"
_AUTHORITY = (
    r"//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?"
    rf"(?:\[{_IPV6}\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{{2}})*)(?::\d*)?"
)
_URI = (
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}(?:/{_PATH})?"
    rf"|(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{{2}}){_PATH}|/)?{_QUERY}"
)
_DURATION = (
    r"P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)(?:T(?:\d+H(?:\d+M(?:\d+S)?)?"
    r"|\d+M(?:\d+S)?|\d+S))?|T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))"
)

FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "email": rf"{_ATOM}(?:\.{_ATOM})*@{_HOST}",
    "hostname": _HOST,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uri": _URI,
    "uri-reference": rf"(?:{_URI}|(?:{_AUTHORITY})?(?:/{_PATH})?{_QUERY})",
    "uuid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "json-pointer": r"(?:/(?:[^~/]|~[01])*)*",
}
NOT_ENFORCED = frozenset(
    (
        *("idn-email", "idn-hostname", "iri", "iri-reference", "uri-template"),
        *("regex", "relative-json-pointer"),
    )
)
"""Formats of the standard that are refused; names outside the standard only describe."""

_formats: dict[str, Regular] = {}


def format_named(name: str) -> Regular | None:
    """The texts of a standard format, or None for a name that is not the standard's.

    Raises:
        LookupError: the format is the standard's, and not enforced here.
    """
    if name in NOT_ENFORCED:
        raise LookupError(name)
    if name not in FORMATS:
        return None
    if name not in _formats:
        _formats[name] = regex(FORMATS[name], json_escaped)
    return _formats[name]


def length(least: int, most: int | None) -> Regular:
    """Texts of so many characters (code points)."""
    return repeat(_CHARACTER, least, most)


def matching(pattern: str) -> Regular:
    """Texts in which the pattern matches somewhere."""
    return searching(pattern, json_escaped)


def one_of(texts: Iterable[str]) -> Regular:
    """Exactly these texts."""
    return literals(json_text(text) for text in texts)
