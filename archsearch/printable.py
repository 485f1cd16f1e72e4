"""Text from elsewhere as a terminal can show it: no character in it moves the cursor, changes colours or order."""

import unicodedata

JOINERS = "\u200c\u200d"
"""Invisible characters that words of Persian and of Indian languages are written with, and emoji put together."""


def is_printable(text: str) -> bool:
    """Whether `text` has none of them: no control characters, line ends, marks of direction, halves of characters."""
    return not any(_acts(character) for character in text)


def printable(text: str, kept: str = "") -> str:
    """`text` with each such character as Python writes it, `\\x1b` for one; those in `kept` stay."""
    return "".join(
        character.encode("unicode_escape").decode() if _acts(character) and character not in kept else character
        for character in text
    )


def _acts(character: str) -> bool:
    acts = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return acts and character not in JOINERS
