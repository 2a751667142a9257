"""The marks of classes: a fixed palette whose colours differ, also for people who see few colours, and three lines.

Every class has its own colour, up to 240 classes; after them the colours repeat. The first 20 are as far apart as 20
colours can be, and their boxes have solid lines. Where there are more classes, colours get closer, so classes 20 to 39
have dashed lines, classes 40 to 59 dotted ones, the next 20 solid ones, and so on.
`experiments/class_palette.py` is the search that found the colours.
"""

from typing import Literal, NamedTuple, get_args

Color = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""

LineStyle = Literal["solid", "dashed", "dotted"]
"""Kinds of lines around boxes."""

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

_COLORS = (
    "335599 ff99bb 118888 ffbb77 774466 006644 22ffee 4477ff 993300 bb3355 "
    "bbeebb 5522ff 44aaff aa88bb ffee11 ff7700 aa6600 44ddff ff5566 00aa77 "
    "ee4499 eebb00 668844 88aadd eeaa99 88ffdd 9900bb 884444 ff0000 eeee99 "
    "007777 88eeff dd22ff dd9955 3399aa cc7777 00ccbb bb3366 665588 bb0022 "
    "9955bb 666633 ffdd66 cc8899 55dddd 77aa33 227766 ff66ff eeaa88 ee1166 "
    "992277 aaeecc ddeeaa 6699cc 338800 7700dd cc66aa 449977 aa2255 11bbaa "
    "1177aa cc5588 dd22cc dd8888 bb6644 66cccc ff66dd 336622 cccc33 228833 "
    "ffaaee ffbb99 55bb33 3344cc ccaa66 aa0088 bb7799 eeee77 ffaaaa ee3366 "
    "3388bb ee99aa ff2255 119966 ffbbdd 77ccff bbff44 3344ee 887711 66dd77 "
    "77bb77 aa88ee ff8822 00ffbb 447733 aa6688 aa0066 99dd55 44aa88 99ddbb "
    "ffaacc 995588 8844ff 77ccee bbbb55 6644aa aa9966 665500 00dd99 bb4455 "
    "aa66ee dd4411 66ccaa ee0044 cc1177 ee5588 ff55cc 775599 77dd00 ff7733 "
    "995599 ee7799 995577 668855 9999dd 447755 3377cc 55ddcc bb3322 994444 "
    "99ff99 ee9944 ff55aa 5555ee dd1177 22bb99 44aaaa ee2233 ff8899 bb8844 "
    "9944bb cc77aa ee7733 7777dd aa4455 ee77cc aa2288 775522 884455 ccdd99 "
    "ff88bb ff00cc ff55ff 559955 774477 119999 00eedd 00bb88 cc7766 55bb55 "
    "88ffee ff7788 99ff88 ccee00 22ffff aa22dd bb2233 bb0011 55bbbb 228866 "
    "ddcc66 dd99bb ee77aa aa66bb bbdd88 11eeff 227744 9999ee dd4499 55aa99 "
    "9911aa 66eecc bb0033 cc99cc 66aa00 338877 aa4466 bbaa77 4499ff ee00aa "
    "ffcc66 ddbb55 aa0055 55ccdd 77ccbb 99aaee 99eedd dd88bb 4488ff bb6699 "
    "dddd00 3399bb aa5599 bbddaa 66bbaa ffdd77 bb4433 ddaadd bb5577 997733 "
    "8811dd 990099 5577aa cc5511 884433 33cc88 4466aa cc6677 33cc66 aa5544 "
    "1166dd ff4422 884466 aaaa66 aa8855 5533ff 997744 88aa77 774488 99ffcc "
    "ddbb77 bb7788 bb55aa ff88dd bb33aa ee8899 aa6699 885577 cc4466 008899 "
)
"""The colours as hexadecimal sRGB, each row of ten in the order of class ids."""

PALETTE: tuple[Color, ...] = tuple(
    (int(color[:2], 16), int(color[2:4], 16), int(color[4:], 16)) for color in _COLORS.split()
)
"""The colours in the order of class ids."""

GROUP = 20
"""Number of successive classes with equal lines."""


class ClassMark(NamedTuple):
    """The look of a class's boxes.

    Attributes:
        color: Colour of the lines and of the labels' ground.
        line: Kind of the lines.
    """

    color: Color
    line: LineStyle


def class_mark(class_id: int) -> ClassMark:
    """Returns the mark of a class, the same in every photo.

    >>> class_mark(7).line, class_mark(27).line, class_mark(47).line, class_mark(67).line
    ('solid', 'dashed', 'dotted', 'solid')
    """
    lines = get_args(LineStyle)
    return ClassMark(PALETTE[int(class_id) % len(PALETTE)], lines[int(class_id) // GROUP % len(lines)])


def text_color(ground: Color) -> Color:
    """Returns black or white, whichever is easier to read on a colour.

    The contrast is at least 4.58 whatever the colour, and WCAG 2 asks for 4.5.
    """
    return max(BLACK, WHITE, key=lambda color: contrast_ratio(color, ground))


def contrast_ratio(one: Color, other: Color) -> float:
    """Returns the contrast of two colours by WCAG 2, from 1 (equal) to 21 (black and white).

    >>> round(contrast_ratio((0, 0, 0), (255, 255, 255)), 6)
    21.0
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: Color) -> float:
    """Returns the relative luminance of a colour by WCAG 2, from 0 to 1."""
    encoded = [value / 255 for value in color]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in encoded]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
