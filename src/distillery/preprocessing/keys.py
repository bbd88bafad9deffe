"""Cleaning of texts, and the key by which two texts are the same."""

import hashlib
import re

_MARKUP = re.compile(
    r"</?(?:a|b|big|blockquote|body|br|center|div|em|font|h[1-6]|hr|html|i|img|li|ol|p|pre|small"
    r"|span|strong|sub|sup|table|td|th|tr|tt|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")
MASK = "[MASK]"  # a masked word in augmented texts; each tokenizer reads its own mask there


def clean(text: str) -> str:
    """The text without HTML tags, every run of white space one blank."""
    return _SPACE.sub(" ", _MARKUP.sub(" ", text)).strip()


def words(text: str) -> tuple[str, ...]:
    """The words of a text by their letters and digits alone, without case; of a text that has
    none, what stands between its blanks."""
    folded = ("".join(filter(str.isalnum, word)) for word in clean(text).casefold().split())
    return tuple(filter(None, folded)) or tuple(text.split())


def key(text: str, text_pair: str | None = None) -> str:
    """Two examples with one key are the same example.

    Markup, case and everything but letters and digits are ignored, blanks too (sources differ in
    just that). A text without any letter or digit is its own key.
    """
    parts = [text] if text_pair is None else [text, text_pair]
    return "\x1f".join("".join(filter(str.isalnum, clean(p).casefold())) or p for p in parts)


def example_id(example_key: str) -> str:
    """Sixteen hexadecimal digits (64 bits of BLAKE2b) that stand for a key."""
    return hashlib.blake2b(example_key.encode(), digest_size=8).hexdigest()
