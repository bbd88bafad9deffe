"""Damaged files for the readers: valid ones with a few bytes changed, and JSON gone astray."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from distillery.errors import UserError, one_line

# What text files are made of, and what breaks their readers.
TOKENS = (
    *(b",", b"\t", b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80"),
    *(b"{", b"}", b"[", b"]", b":", b"null", b"true", b"-1", b"1e999", b"NaN", b'"\\ud800"', b" "),
    *(b"\x7f\xff\xff\xff", b"\x80\0\0\0\0\0\0\x80", b"9" * 30),
)


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the files with up to four changes: bits, bytes, pieces cut, copied or put in."""
    content = bytearray(draw(st.sampled_from(list(seeds))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        change = draw(st.sampled_from(("flip", "byte", "cut", "copy", "insert", "truncate")))
        if change == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "byte" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif change == "truncate":
            del content[at:]
        elif change == "insert":
            content[at:at] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        elif change in ("cut", "copy"):
            piece = content[at : at + draw(st.integers(1, 64))]
            if change == "cut":
                del content[at : at + len(piece)]
            else:
                where = draw(st.integers(0, len(content)))
                content[where:where] = piece
    return bytes(content)


any_json: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 3)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("train", "teacher", "distillation", "000000.safetensors", "..")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    found = [(value, key) for key in keys]
    return found + [place for key in keys for place in _places(value[key])]


@st.composite
def astray(draw: st.DrawFn, valid: dict[str, Any]) -> bytes:
    """A JSON object with up to three of its values, at any depth, replaced or left out."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        if draw(st.booleans()) or isinstance(container, list):
            container[key] = draw(any_json)
        else:
            del container[key]
    return json.dumps(value).encode()


def answer(read: Callable[[], Any]) -> Any:
    """What a reader gives; None where it refuses in one line."""
    try:
        return read()
    except UserError as error:
        assert one_line(str(error)).isprintable()
        return None
