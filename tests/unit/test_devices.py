"""What browsers say of themselves, in short."""

import pytest

from api.results.devices import device_of

_KIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("said", "short"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_KIT} Version/18.5 Safari/604.1",
            "Safari on an iPhone",
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_KIT} CriOS/138.0 Safari/604.1",
            "Chrome on an iPhone",
        ),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_KIT} Version/18.5 Safari/605.1.15", "Safari on a Mac"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} Chrome/138.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        (f"Mozilla/5.0 (Windows NT 10.0) {_KIT} Chrome/138.0 Safari/537.36 Edg/138.0", "Edge on Windows"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} HeadlessChrome/156.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("", ""),
    ],
)
def test_devices(said: str, short: str) -> None:
    assert device_of(said) == short
