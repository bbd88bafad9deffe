"""Truncation of one text, as plainly as can be."""


def cut(pieces: list[int], room: int, head: float) -> list[int]:
    """At most `room` pieces: the fraction `head` of them from the beginning, the rest from the
    end."""
    if len(pieces) <= room:
        return pieces
    front = round(room * head)
    return pieces[:front] + pieces[len(pieces) - (room - front) :]
