"""A survey's colour as the accent of its pages.

Guarantees: pure; whatever the colour, the accent can be read as text on every ground of the pages, and what stands on
it can be read, at 4.5 : 1 or better, in light and in dark; a colour that can be read already stays as it is.

Relative luminance and contrast are those of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance and
#dfn-contrast-ratio), with the threshold of sRGB itself, 0.04045; 4.5 is success criterion 1.4.3 (Contrast, AA).
"""

import re
from dataclasses import dataclass

LEAST = 4.5
# --ground, --surface and --sunken of frontend/shared/base.css; a test holds them equal.
LIGHT_GROUNDS = ("#f6f7f5", "#ffffff", "#eceeea")
DARK_GROUNDS = ("#121715", "#1b2220", "#252e2b")
_BLACK, _WHITE = "#000000", "#ffffff"
_STRONGER, _SOFT = 0.2, 0.1
_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Shade:
    """The accent on light or on dark grounds, `on_accent` for what stands on it; `ratio` is its least contrast as text
    on a ground, `on_ratio` that of what stands on it. `moved`: the colour itself could not be read."""

    accent: str
    strong: str
    on_accent: str
    soft: str
    glow: str
    ratio: float
    on_ratio: float
    moved: bool


@dataclass(frozen=True, slots=True)
class Theme:
    """A colour's shades."""

    light: Shade
    dark: Shade


def is_color(text: str) -> bool:
    """Whether it is a #rrggbb, in small letters."""
    return _COLOR.fullmatch(text) is not None


def luminance(color: str) -> float:
    """The relative luminance of a #rrggbb, 0 (black) to 1 (white)."""

    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = map(linear, _parts(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 (none) to 21 (black and white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def theme(color: str) -> Theme:
    """The shades of a #rrggbb."""
    return Theme(_shade(color, LIGHT_GROUNDS, _BLACK), _shade(color, DARK_GROUNDS, _WHITE))


def stylesheet(color: str) -> str:
    """The shades as the tokens of base.css, which they replace."""
    shades = theme(color)
    return (
        f":root {{\n{_tokens(shades.light)}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{_tokens(shades.dark)}}}\n}}\n"
    )


def _shade(color: str, grounds: tuple[str, ...], end: str) -> Shade:
    """Moved towards `end` as little as it takes; there everything can be read."""
    steps = (_mixed(color, end, step / 100) for step in range(101))
    accent = next(each for each in steps if _least(each, grounds) >= LEAST)
    on_accent = max(_BLACK, _WHITE, key=lambda each: contrast(each, accent))
    return Shade(
        accent=accent,
        strong=_mixed(accent, end, _STRONGER),
        on_accent=on_accent,
        soft=_mixed(grounds[1], accent, _SOFT),
        glow=_mixed(grounds[0], accent, _SOFT),
        ratio=_least(accent, grounds),
        on_ratio=contrast(on_accent, accent),
        moved=accent != color,
    )


def _least(color: str, grounds: tuple[str, ...]) -> float:
    return min(contrast(color, ground) for ground in grounds)


def _tokens(shade: Shade) -> str:
    tokens = {
        "accent": shade.accent,
        "accent-strong": shade.strong,
        "on-accent": shade.on_accent,
        "accent-soft": shade.soft,
        "glow": shade.glow,
    }
    return "".join(f"  --{name}: {value};\n" for name, value in tokens.items())


def _mixed(color: str, end: str, share: float) -> str:
    pairs = zip(_parts(color), _parts(end), strict=True)
    return "#" + "".join(f"{round(part + (to - part) * share):02x}" for part, to in pairs)


def _parts(color: str) -> tuple[int, ...]:
    return tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))
