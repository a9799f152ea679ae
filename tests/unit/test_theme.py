"""A survey's colour can be read, whatever it is."""

import re
from itertools import product

import pytest

from heed.theme import DARK_GROUNDS, LIGHT_GROUNDS, contrast, luminance, stylesheet, theme
from heed.web.static import FRONTEND

LEAST = 4.5  # WCAG 2.2, 1.4.3
COLORS = ["#" + bytes(parts).hex() for parts in product(range(0, 256, 51), repeat=3)]


def test_the_grounds_are_those_of_the_stylesheet() -> None:
    css = (FRONTEND / "shared" / "base.css").read_text(encoding="utf-8")
    for name, grounds in (("ground", 0), ("surface", 1), ("sunken", 2)):
        found = re.findall(rf"--{name}: (#[0-9a-f]{{6}});", css)
        assert found == [LIGHT_GROUNDS[grounds], DARK_GROUNDS[grounds]], name


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ffffff", 4.0),
        ("#abcdef", "#abcdef", 1),
    ],
)
def test_contrasts_as_other_tools_have_them(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.006)


def test_luminance_of_the_ends_and_of_the_primaries() -> None:
    found = [luminance(color) for color in ("#000000", "#ff0000", "#00ff00", "#0000ff", "#ffffff")]
    assert found == pytest.approx([0, 0.2126, 0.7152, 0.0722, 1])


def test_every_colour_becomes_one_that_can_be_read() -> None:
    for color in COLORS:
        both = theme(color)
        for shade, grounds, ink in ((both.light, LIGHT_GROUNDS, "#1b2420"), (both.dark, DARK_GROUNDS, "#e8eeea")):
            assert min(contrast(shade.accent, ground) for ground in grounds) == shade.ratio >= LEAST, color
            assert min(contrast(shade.strong, ground) for ground in grounds) >= LEAST, color
            assert contrast(shade.accent, shade.on_accent) == shade.on_ratio >= LEAST, color
            assert contrast(shade.strong, shade.on_accent) >= LEAST, color
            assert min(contrast(ink, shade.soft), contrast(ink, shade.glow)) >= LEAST, color
            assert shade.moved == (min(contrast(color, ground) for ground in grounds) < LEAST), color


def test_no_further_than_it_takes() -> None:
    heeds = theme("#0b6b53")
    assert (heeds.light.accent, heeds.light.moved) == ("#0b6b53", False)
    assert heeds.dark.moved
    assert LEAST <= theme("#ffcc00").light.ratio < LEAST + 0.15


def test_the_stylesheet_replaces_tokens_that_there_are() -> None:
    css = (FRONTEND / "shared" / "base.css").read_text(encoding="utf-8")
    sheet = stylesheet("#ffcc00")
    light, dark = sheet.split("@media (prefers-color-scheme: dark)")
    for part in (light, dark):
        names = re.findall(r"(--[a-z-]+): #[0-9a-f]{6};", part)
        assert names == ["--accent", "--accent-strong", "--on-accent", "--accent-soft", "--glow"]
        assert all(css.count(f"{name}: ") == 2 for name in names)
