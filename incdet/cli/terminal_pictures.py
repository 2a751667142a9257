"""Pictures in terminals that can show them, kitty's and iTerm's; elsewhere the places of their files."""

import base64
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO

from incdet.cli.console import notes
from incdet.runtime.visible_text import visible

Protocol = Literal["kitty", "iterm"]
"""Names of the two ways in which terminals take pictures."""

MAX_PICTURES = 20
"""Number of pictures that are shown; the others are counted."""

MAX_WIDTH = 800
"""Width in pixels to which larger pictures are shrunk, so that a terminal far away is not kept waiting."""

_KITTY_PIECE = 4096
"""Number of characters that kitty takes at a time."""


def picture_protocol(environment: Mapping[str, str], is_terminal: bool) -> Protocol | None:
    """Returns the way in which a terminal takes pictures, by what it says of itself; None where it takes none.

    Args:
        environment: Variables of the process.
        is_terminal: Whether somebody looks at the stream.
    """
    if not is_terminal or "TMUX" in environment or environment.get("TERM", "").startswith("screen"):
        # programs in between pass no pictures on
        return None
    program, terminal = environment.get("TERM_PROGRAM", ""), environment.get("TERM", "")
    if "KITTY_WINDOW_ID" in environment or "kitty" in terminal or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "vscode") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    return None


def show_pictures(files: Sequence[Path], stream: TextIO, protocol: Protocol | None) -> None:
    """Shows pictures one below the other, or says where they are.

    Args:
        files: The pictures.
        stream: The terminal.
        protocol: The way in which it takes pictures; None where it takes none.
    """
    for file in files[:MAX_PICTURES]:
        notes.print(visible(str(file)), markup=False)
        if protocol is not None:
            stream.write(encode_picture(_small_png(file), protocol) + "\n")
            stream.flush()
    if len(files) > MAX_PICTURES:
        notes.print(f"and {len(files) - MAX_PICTURES} more pictures beside them", markup=False)
    elif protocol is None and files:
        notes.print("this terminal shows no pictures; open the files above", markup=False)


def show_in_terminal(files: Sequence[Path]) -> None:
    """Shows pictures on standard error, which is where everything meant for people goes."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    show_pictures(files, sys.stderr, picture_protocol(os.environ, is_terminal))


def encode_picture(png: bytes, protocol: Protocol) -> str:
    """Returns what a terminal is sent to show a picture.

    Args:
        png: The picture.
        protocol: The way in which the terminal takes pictures.
    """
    text = base64.b64encode(png).decode("ascii")
    if protocol == "iterm":
        return f"\033]1337;File=inline=1;size={len(png)}:{text}\a"
    pieces = [text[start : start + _KITTY_PIECE] for start in range(0, len(text), _KITTY_PIECE)]
    commands = []
    for number, piece in enumerate(pieces):
        # the first piece says what it is: PNG (f=100), shown at once (a=T), no answer (q=2)
        keys = "f=100,a=T,q=2," if number == 0 else ""
        commands.append(f"\033_G{keys}m={int(number < len(pieces) - 1)};{piece}\033\\")
    return "".join(commands)


def _small_png(file: Path) -> bytes:
    """Returns a picture as PNG, shrunk to `MAX_WIDTH`."""
    import PIL.Image

    with PIL.Image.open(file) as picture:
        picture.thumbnail((MAX_WIDTH, 2 * MAX_WIDTH))
        stream = io.BytesIO()
        picture.save(stream, "PNG")
    return stream.getvalue()
