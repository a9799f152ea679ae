"""Which scorer this deployment uses: HEED_SCORER."""

from pathlib import Path

from heed.errors import HeedError
from heed.settings import Settings
from worker.sentiment import Scorer

# Each is imported when it is chosen: one process uses one.


def scorer(settings: Settings) -> Scorer:
    """The scorer that HEED_SCORER names; HeedError says what is wrong with it."""
    name = settings.scorer
    if name == "light":
        from worker.sentiment.light import LightScorer

        return LightScorer()
    if name == "vader":
        from worker.sentiment.vader import VaderScorer

        return VaderScorer()
    if name.endswith(".json"):
        from worker.sentiment.light import LightScorer, Model

        return LightScorer(Model.load(Path(name)))
    folder = Path(name)
    if not folder.is_dir():
        raise HeedError(f"HEED_SCORER is {name!r}: neither `light` nor `vader` nor a model's file or folder.")
    try:
        from worker.sentiment.embedding import EmbeddingScorer
    except ImportError as error:
        raise HeedError(f"HEED_SCORER names a model, which needs the extra heed[embeddings]: {error}.") from error
    return EmbeddingScorer(folder)
