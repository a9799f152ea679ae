"""The embedding scorer, on a model of six words that is made here; and which scorer HEED_SCORER chooses."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from conftest import need

from heed.contracts import Label
from heed.contracts.text import COMMENT_MAX
from heed.errors import HeedError
from heed.settings import Settings
from worker.sentiment import choose
from worker.sentiment.vader import VaderScorer

# A word's embedding: its mood, and one dimension that all words share.
WORDS = {"[UNK]": (0.0, 1.0), "the": (0.0, 1.0), "good": (1.0, 1.0), "awful": (-2.0, 1.0), "kaputt": (-2.0, 1.0)}


def model(folder: Path, inputs: tuple[str, ...] = ("input_ids", "attention_mask"), **head: Any) -> Path:
    """A folder with a model that looks embeddings up, its tokenizer and a head that reads their mood."""
    try:
        import onnx
        from onnx import TensorProto, helper
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    except ImportError:
        need(False, "heed[embeddings]")
    folder.mkdir(exist_ok=True)
    table = helper.make_tensor(
        "table", TensorProto.FLOAT, [len(WORDS), 2], [x for pair in WORDS.values() for x in pair]
    )
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", 2])],
        [table],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=64)  # as many a published tokenizer.json has it
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"name": "tiny-1", "weights": [3.0, 0.0], "bias": 0.5, "lines": {"ticket": 0.7, "review": 0.5}, **head}
    (folder / "head.json").write_text(json.dumps(said))
    return folder


def scorer(folder: Path) -> Any:
    return choose.scorer(Settings(scorer=str(folder)))


def test_the_head_over_the_mean_embedding(tmp_path: Path) -> None:
    made = scorer(model(tmp_path))
    texts = ["The good", "awful the the", "the", "kaputt", "Awful! 😡"]
    moods = [(1 + 0) / 2, -2 / 3, 0, -2, (-2 + 0 + 0) / 3]
    for sentiment, mood in zip(made.score(texts), moods, strict=True):
        rating = 3 * mood / math.hypot(mood, 1) + 0.5
        assert sentiment.rating == pytest.approx(rating, abs=1e-6)
        assert sentiment.p_negative == pytest.approx(1 / (1 + math.exp(rating)), abs=1e-6)
        assert sum(driver.points for driver in sentiment.drivers) == sentiment.rating
    assert [each.label for each in made.score(texts)][:4] == ["positive", "negative", "positive", "negative"]
    assert (made.lines.ticket, made.lines.review) == (0.7, 0.5)


def test_vaders_scores_are_kept(tmp_path: Path) -> None:
    text = "Good, but awful."
    [sentiment], [vader] = scorer(model(tmp_path)).score([text]), VaderScorer().score([text])
    assert (sentiment.compound, sentiment.scores) == (vader.compound, vader.scores)


def test_each_text_scores_as_it_does_alone(tmp_path: Path) -> None:
    made = scorer(model(tmp_path, inputs=("input_ids", "attention_mask", "token_type_ids")))
    texts = ["good", "awful " * 100, "", "the kaputt", "👎"]
    assert made.score(texts) == [made.score([text])[0] for text in texts]


@pytest.mark.parametrize("text", ["", " \n", "!!!", "👎"])
def test_nothing_to_judge_by(tmp_path: Path, text: str) -> None:
    [sentiment] = scorer(model(tmp_path)).score([text])
    assert (sentiment.label, sentiment.p_negative, sentiment.rating) == (Label.UNKNOWN, None, None)


def test_long_texts_are_read_in_part(tmp_path: Path) -> None:
    made = scorer(model(tmp_path, weights=[30.0, 0.0]))
    short, tokens, letters = made.score(["awful " * 200, "awful " * 300 + "good", "a" * COMMENT_MAX + "b"])
    assert (short.truncated, tokens.truncated, letters.truncated) == (False, True, True)
    assert tokens.rating == short.rating == -4
    [surest] = scorer(model(tmp_path, weights=[1e6, 0.0])).score(["good"])
    assert (surest.rating, surest.p_negative) == (4, pytest.approx(0))


def test_the_name_tells_the_files(tmp_path: Path) -> None:
    first, again = scorer(model(tmp_path / "a")), scorer(model(tmp_path / "b"))
    assert first.name == again.name
    assert first.name.startswith("tiny-1+")
    assert scorer(model(tmp_path / "b", bias=0.6)).name != first.name


def test_what_is_no_model_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HeedError, match="neither `light` nor `vader` nor a model's file or folder"):
        scorer(tmp_path / "nowhere")
    with pytest.raises(HeedError, match=r"cannot be read: .*model\.onnx: No such file"):
        scorer(tmp_path)
    folder = model(tmp_path)
    for name, content in (
        ("head.json", b"{}"),
        ("head.json", b'{"name": "x", "weights": [1, 2, 3], "bias": 0, "lines": {"ticket": 1, "review": 1}}'),
        ("head.json", b'{"name": "x", "weights": [NaN, 0], "bias": 0, "lines": {"ticket": 1, "review": 1}}'),
        ("head.json", b'{"name": "x", "weights": [1, 2], "bias": 0, "lines": {"ticket": 70, "review": 50}}'),
        ("head.json", b'{"name": "x", "weights": [1, 2], "bias": 0, "lines": {"ticket": NaN, "review": 0.5}}'),
        ("tokenizer.json", b"{"),
        ("model.onnx", b"none"),
    ):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(HeedError, match="holds no sentence-embedding model") as raised:
            scorer(folder)
        assert "\n" not in str(raised.value)
        (folder / name).write_bytes(kept)
    scorer(folder)


def test_the_named_scorers() -> None:
    assert choose.scorer(Settings(scorer="vader")).name == VaderScorer().name
