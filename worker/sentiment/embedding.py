"""A scorer over a local sentence-embedding model in ONNX form; needs the extra heed[embeddings].

Guarantees: nothing is downloaded; a folder that holds no such model stops the start with one sentence; a text scores
the same alone as among others.

The folder: `model.onnx` (gives each token's embedding), `tokenizer.json`, and `head.json` with a linear head over the
mean of the tokens' embeddings, scaled to length 1: {"name": "…", "weights": […], "bias": 0.1, "lines": {"ticket": 0.7,
"review": 0.5}}. `weights` and `bias` are those of a logistic regression for "not negative".
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession, SessionOptions
from tokenizers import Tokenizer

from heed.contracts import Driver, Label
from heed.contracts.text import COMMENT_MAX
from heed.errors import HeedError
from heed.triage import Lines
from worker.sentiment import Sentiment
from worker.sentiment.vader import Vader

MODEL, TOKENIZER, HEAD = "model.onnx", "tokenizer.json", "head.json"
TOKENS_MOST = 256  # what such models were trained to read
_MOST = 4.0  # the scale of the human ratings


class EmbeddingScorer:
    """Scores by the model in a folder. One text at a time: padding to a batch's longest would cost more than it saves,
    and in a quantised model each text's score would depend on its neighbours'."""

    def __init__(self, folder: Path) -> None:
        try:
            files = {name: (folder / name).read_bytes() for name in (MODEL, TOKENIZER, HEAD)}
        except OSError as error:
            raise HeedError(f"The scorer's model cannot be read: {error.filename}: {error.strerror}.") from error
        self._vader = Vader()
        try:
            self._head(json.loads(files[HEAD]))
            self._tokenizer: Any = Tokenizer.from_buffer(files[TOKENIZER])
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(TOKENS_MOST)
            options = SessionOptions()
            options.intra_op_num_threads = 1  # one core a worker, as with every scorer
            self._session: Any = InferenceSession(files[MODEL], options, ["CPUExecutionProvider"])
            self._inputs = {each.name for each in self._session.get_inputs()}
            value, _ = self._rating("a text to try it on")
            if not math.isfinite(value):
                raise ValueError(f"it gives {value}")
        except Exception as error:
            # Both libraries raise what they like; their first line says what they miss.
            why = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise HeedError(f"{folder} holds no sentence-embedding model that fits its head: {why}") from error
        digest = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in files.values()))
        self.name = f"{self._called}+{digest.hexdigest()[:8]}"

    def _head(self, said: dict[str, Any]) -> None:
        self._called = str(said["name"])
        self._weights = np.asarray(said["weights"], dtype=np.float64)
        self._bias = float(said["bias"])
        self.lines = Lines(float(said["lines"]["ticket"]), float(said["lines"]["review"]))
        if not 0 < self.lines.review <= self.lines.ticket <= 1:
            raise ValueError("its lines are not probabilities, review first")

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One Sentiment for each text, in order."""
        return [self._one(text) for text in texts]

    def _one(self, comment: str) -> Sentiment:
        text = comment[:COMMENT_MAX]
        if not any(map(str.isalnum, text)):
            return Sentiment(Label.UNKNOWN, 0.0, None, coverage=0.0)
        scores: dict[str, float] = self._vader.polarity_scores(text)
        value, whole = self._rating(text)
        chance = 1 / (1 + math.exp(min(value, 700.0)))  # past that it overflows
        rating = max(-_MOST, min(_MOST, value))
        return Sentiment(
            _label(chance, rating),
            scores["compound"],
            chance,
            scores,
            rating,
            truncated=not whole or len(text) < len(comment),
            why=lambda _most: (Driver("meaning", None, None, rating),),
        )

    def _rating(self, text: str) -> tuple[float, bool]:
        """The head's value, and whether the whole text was read."""
        encoding = self._tokenizer.encode(text)
        given = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feed = {name: np.asarray([given[name]], dtype=np.int64) for name in self._inputs}
        tokens = self._session.run(None, feed)[0][0].astype(np.float64)
        mask = feed["attention_mask"][0][:, None]
        mean = (tokens * mask).sum(axis=0) / max(mask.sum(), 1)
        length = float(np.linalg.norm(mean)) or 1.0
        return float(mean @ self._weights) / length + self._bias, not encoding.overflowing


def _label(chance: float, rating: float) -> Label:
    if chance >= 0.5:
        return Label.NEGATIVE
    return Label.POSITIVE if rating >= 0.5 else Label.NEUTRAL
