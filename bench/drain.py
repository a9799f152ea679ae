"""Scoring and the worker's drain.

The drain is entries a second read, scored, decided, stored, outboxed and acknowledged by one worker process, against
its scorer alone on the same texts on one core, in turns: once with VADER, against vaderSentiment itself, which shows
what the way around the scorer costs, and once with the default scorer, against that one. Scoring compares the scorers.
"""

import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from bench.figures import Figure
from bench.servers import Servers, wait_until
from heed.contracts import StreamEntry, new_id
from heed.stream import keys
from heed.stream.queue import GROUP
from worker.sentiment.light import LightScorer

ENTRIES = 24_000  # so that the first and the last batch, with which nothing runs beside, weigh little
ROUNDS = 5

Alone = Callable[[list[str]], object]


def run(servers: Servers, texts: Sequence[str], say: Callable[[str], object]) -> list[Figure]:
    """The median rate of each."""
    chosen = [texts[number % len(texts)][:5000] for number in range(ENTRIES)]
    analyzer, scorer = SentimentIntensityAnalyzer(), LightScorer()

    def vader(given: list[str]) -> object:
        return [analyzer.polarity_scores(text) for text in given]

    drained = {
        "worker drain, with VADER": _compare(servers, chosen, "vader", vader, say),
        "worker drain": _compare(servers, chosen, "light", scorer.score, say),
    }
    figures = [
        Figure("scoring", drained["worker drain"][1], drained["worker drain, with VADER"][1], "VADER", "/s", 0.38)
    ]
    for (what, (ours, theirs)), alone in zip(drained.items(), ("VADER alone", "its scorer alone"), strict=True):
        figures.append(Figure(what, ours, theirs, alone, "/s", 0.5))
    return figures


def _compare(
    servers: Servers, chosen: list[str], scorer: str, alone: Alone, say: Callable[[str], object]
) -> tuple[float, float]:
    """The worker's rate with that scorer, and the scorer's alone."""
    servers.redis.flushall()  # whatever another benchmark left in the queue
    worker = servers.python("-m", "worker", scorer=scorer)
    wait_until(lambda: servers.redis.exists(keys.queue(0)) and servers.redis.xinfo_consumers(keys.queue(0), GROUP))
    _drain(servers, worker, chosen[:1000])  # warm up
    ours, theirs = [], []
    for turn in range(ROUNDS):
        say(f"worker drain, {scorer}: round {turn + 1} of {ROUNDS}, the scorer alone")
        started = time.perf_counter()
        alone(chosen)
        theirs.append(ENTRIES / (time.perf_counter() - started))
        say(f"worker drain, {scorer}: round {turn + 1} of {ROUNDS}, the worker")
        ours.append(ENTRIES / _drain(servers, worker, chosen))
    worker.terminate()
    worker.wait(20)
    return statistics.median(ours), statistics.median(theirs)


def _drain(servers: Servers, worker: subprocess.Popen[bytes], texts: Sequence[str]) -> float:
    """Seconds from a full queue to an empty one; the worker sleeps while it is filled."""
    worker.send_signal(signal.SIGSTOP)
    try:
        with servers.redis.pipeline(transaction=False) as pipeline:
            for text in texts:
                entry = StreamEntry(id=new_id(), survey="default", client=new_id().hex, vote="good", comment=text)
                pipeline.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]
            pipeline.execute()
    finally:
        worker.send_signal(signal.SIGCONT)
    started = time.perf_counter()
    while servers.redis.xlen(keys.queue(0)):  # an entry goes when it is acknowledged
        if time.perf_counter() - started > 120:
            raise TimeoutError("the worker did not drain the queue")
        time.sleep(0.004)
    return time.perf_counter() - started
