"""Numbers that a person reads from paper, says on the phone and types at a counter: random, grouped, with a check
symbol. Pure: the caller draws the randomness.

31 symbols, a prime: with weights 1, 2, 3 ... below it every single wrong symbol and every swap of two different ones is
found (a weighted sum modulo a prime is zero for no such change). Left out are I, L, O, 0 and 1, which people mistake.
"""

from __future__ import annotations

import hashlib
from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_BASE: Final = len(ALPHABET)
PAPER: Final = 17
"""Symbols of a paper number without its check: 84 bits. It is worth what is on the account, for a year, and is guessed
at a counter only; fewer than 80 bits could one day be tried against the stored hash, more are tedious to say."""
CODE: Final = 11
"""Of a redemption code: 54 bits. It lives a quarter of an hour and is asked for by one mall, which is slowed down."""
NAME: Final = 7
"""Of a report's number, which is no secret: 34 bits, so that two of a million reports seldom draw the same."""


class BadNumber(ValueError):
    """A number that was misread, misheard or mistyped; the text says how it should look."""


def space(symbols: int) -> int:
    """How many numbers there are of so many symbols."""
    return int(_BASE**symbols)


def number_of(drawn: int, symbols: int) -> str:
    """The number that stands for a drawn integer in [0, space), with its check symbol last."""
    if not 0 <= drawn < space(symbols):
        raise ValueError("drawn from another space")
    values = []
    for _ in range(symbols):
        drawn, value = divmod(drawn, _BASE)
        values.append(value)
    # The last weight is `symbols + 1`; its inverse makes the weighted sum of all zero.
    rest = sum((i + 1) * value for i, value in enumerate(values)) % _BASE
    values.append(-rest * pow(symbols + 1, -1, _BASE) % _BASE)
    return "".join(ALPHABET[value] for value in values)


def read_number(text: str, symbols: int) -> str:
    """A number as it was typed, without its groups. Raises BadNumber."""
    plain = "".join(text.split()).replace("-", "").upper()
    if len(plain) != symbols + 1:
        raise BadNumber(f"this number has {symbols + 1} letters and digits, not {len(plain)}: read it again")
    if wrong := sorted(set(plain) - set(ALPHABET)):
        raise BadNumber(f"{wrong[0]!r} is in no number of ours (none has I, L, O, 0 or 1): read it again")
    if sum((i + 1) * ALPHABET.index(symbol) for i, symbol in enumerate(plain)) % _BASE:
        raise BadNumber("one letter or digit is wrong, or two are swapped: read the number again")
    return plain


def grouped(number: str) -> str:
    """In groups that can be said: of four, of three where that comes out even and four does not."""
    size = 3 if len(number) % 4 and len(number) % 3 == 0 else 4
    return "-".join(number[i : i + size] for i in range(0, len(number), size))


def hash_of(number: str, purpose: str) -> bytes:
    """What is kept of a number. A plain hash is enough: it is random, not chosen by a person."""
    return hashlib.sha256(f"roadcode {purpose}\n{number}".encode()).digest()
