"""Names from outside, fit to be printed: terminals, browsers and spreadsheets act on some characters in them."""

import html

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


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


def escape_html(text: str) -> str:
    """Returns a text for HTML, its control characters visible."""
    return html.escape(visible(text))


def table_cell(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula: one that could begin one gets an apostrophe in front.

    >>> table_cell("=1+1"), table_cell("cat")
    ("'=1+1", 'cat')
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
