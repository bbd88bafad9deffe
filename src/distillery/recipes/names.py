"""The names a user types: students and the teachers with a short name."""

# name -> (architecture, layers). An architecture is one file in `models` and one line in its
# registry; a depth is one line here.
STUDENTS: dict[str, tuple[str, int]] = {
    "bilstm": ("bilstm", 1),
    "bilstm2": ("bilstm", 2),
    "bigru": ("bigru", 1),
    "bigru2": ("bigru", 2),
    "attention": ("attention", 1),
    "attention2": ("attention", 2),
    "transformer": ("transformer", 1),
    "transformer2": ("transformer", 2),
    "bag": ("bag", 1),
}

TEACHERS = ("bert", "minilm")
BASELINES = ("majority", "tfidf")
