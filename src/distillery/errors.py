"""The one error a user is meant to see."""


class UserError(Exception):
    """Bad input. The message is one line that names the bad value and what is allowed.

    The command line prints it without a traceback and exits with status 2.
    """


def choose(what: str, value: str, allowed: object) -> str:
    """Returns `value` if it is among `allowed` (an iterable of names), else raises UserError."""
    names = [str(name) for name in allowed]  # type: ignore[attr-defined]
    if value not in names:
        raise UserError(f"unknown {what} '{value}': choose from {', '.join(names)}")
    return value


def reason(error: Exception) -> str:
    """The first line of what another library's error says, its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def one_line(text: str) -> str:
    """The text with every letter escaped that cannot be printed: line ends, half surrogates."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
