"""What a task does to its texts, and when two texts count as the same one.

A text's identity is the exact text: two texts are one only if they are equal after Unicode NFC and
trimming. Looser rules, for counting and dropping near copies, are options of a task's data recipe.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable

TAG = (  # an HTML tag; the flag stands inside, so that tokenizers can use the pattern as it is
    r"(?i:</?(?:a|b|big|blockquote|body|br|center|div|em|font|h[1-6]|hr|html|i|img|li|ol|p|pre"
    r"|small|span|strong|sub|sup|table|td|th|tr|tt|u|ul)"
    r"(?:\s+[a-z-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))*\s*/?>)"
)
SPACE = r"[\s\x1c-\x1f]+"  # Python's white space; \s of other engines lacks some of it
_TAG, _SPACE = re.compile(TAG), re.compile(SPACE)
MASK = "[MASK]"  # a masked word in augmented texts; each tokenizer reads its own mask there


def cut_tags(text: str) -> str:
    """The text with a blank in place of each HTML tag."""
    return _TAG.sub(" ", text) if "<" in text else text


def single_spaces(text: str) -> str:
    """The text with every run of white space as one blank."""
    if text.isprintable() and "  " not in text:  # true of most texts, and far quicker
        return text
    return _SPACE.sub(" ", text)


def fold_spaces(text: str) -> str:
    """The text with every run of white space as one blank, and none around it."""
    return single_spaces(text).strip()


def strip_markup(text: str) -> str:
    """The text without HTML tags, its white space folded."""
    return fold_spaces(cut_tags(text))


CLEAN: dict[str, Callable[[str], str]] = {
    "none": str,
    "spaces": fold_spaces,
    "markup": strip_markup,
}


def words(text: str) -> tuple[str, ...]:
    """The words of a text by their letters and digits alone, without case; if it has none, the
    parts between its blanks."""
    folded = ("".join(filter(str.isalnum, word)) for word in strip_markup(text).casefold().split())
    return tuple(filter(None, folded)) or tuple(text.split())


def exact(text: str, text_pair: str | None = None) -> str:
    """The key of an example that is equal only for equal texts, up to Unicode NFC and trimming."""
    first = unicodedata.normalize("NFC", text).strip()
    if text_pair is None:
        return first
    return f"{len(first)}:{first}{unicodedata.normalize('NFC', text_pair).strip()}"


def letters(text: str, text_pair: str | None = None) -> str:
    """A looser key that ignores markup, case and everything but letters and digits.

    Blanks count as little as marks: copies of one review differ in just that. A text without any
    letter or digit is its own key.
    """
    parts = [text] if text_pair is None else [text, text_pair]
    folded = ("".join(filter(str.isalnum, strip_markup(part).casefold())) for part in parts)
    return "\x1f".join(key or part for key, part in zip(folded, parts, strict=True))


SAME_TEXT: dict[str, Callable[..., str]] = {"exact": exact, "letters": letters}


def digest(key: str) -> int:
    """64 bits of BLAKE2b that stand for a key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def example_id(text: str, text_pair: str | None = None) -> str:
    """Sixteen hexadecimal digits that stand for the exact text, or pair of texts."""
    return f"{digest(exact(text, text_pair)):016x}"
