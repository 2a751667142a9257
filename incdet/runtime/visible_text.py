"""Names from outside, fit to be printed: a terminal acts on control characters in them."""


def visible(text: str) -> str:
    r"""Returns a text in one line, with every character that is not printed written as an escape.

    >>> visible("a\x1b[31mb\nc é")
    'a\\x1b[31mb\\nc é'
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def visible_lines(text: str) -> str:
    """Returns the same with line breaks and tabs as they are."""
    return "".join(letter if letter in "\n\t" else visible(letter) for letter in text) if needs_escapes(text) else text


def needs_escapes(text: str) -> bool:
    """Whether a text holds a character that is not printed, besides line breaks and tabs."""
    return not text.replace("\n", "").replace("\t", "").isprintable()
