"""Worker drain: entries a second read, scored, decided, stored, outboxed and acknowledged by one worker process,
against VADER alone scoring the same texts on one core, in turns."""

import statistics
import time
from collections.abc import Callable, Sequence

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from bench.figures import Figure
from bench.servers import Servers
from heed.contracts import StreamEntry, new_id
from heed.lifecycle import Heartbeat, Stop
from heed.stream import keys
from heed.stream.queue import GROUP, Queue
from worker.consumer import Consumer
from worker.sentiment.vader import VaderScorer

ENTRIES = 8_000
ROUNDS = 3


def run(servers: Servers, texts: Sequence[str], say: Callable[[str], object]) -> list[Figure]:
    """The median rate of each."""
    chosen = [texts[number % len(texts)][:5000] for number in range(ENTRIES)]
    analyzer = SentimentIntensityAnalyzer()
    ours, theirs = [], []
    for turn in range(ROUNDS):
        say(f"worker drain: round {turn + 1} of {ROUNDS}, VADER alone")
        started = time.perf_counter()
        for text in chosen:
            analyzer.polarity_scores(text)
        theirs.append(ENTRIES / (time.perf_counter() - started))
        say(f"worker drain: round {turn + 1} of {ROUNDS}, worker")
        _fill(servers, chosen)
        ours.append(_drain(servers))
    return [
        Figure("worker drain", statistics.median(ours), statistics.median(theirs), "VADER alone", "/s", 0.5),
    ]


def _fill(servers: Servers, texts: Sequence[str]) -> None:
    servers.redis.delete(keys.queue(0))
    with servers.redis.pipeline(transaction=False) as pipeline:
        for text in texts:
            entry = StreamEntry(id=new_id(), survey="default", client=new_id().hex, vote="good", comment=text)
            pipeline.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]
        pipeline.execute()


def _drain(servers: Servers) -> float:
    """Entries a second from the first read to the last acknowledgement."""
    stop = Stop()
    ended = 0.0

    class UntilEmpty(Heartbeat):
        """Stops the worker at the first turn that finds the queue empty."""

        def beat(self) -> None:
            nonlocal ended
            if not ended and not servers.redis.xlen(keys.queue(0)):
                ended = time.perf_counter()
                stop.request()

    queue = Queue.connect(servers.settings)
    consumer = Consumer(servers.settings, servers.engine, queue, VaderScorer(), stop, UntilEmpty(60))
    started = time.perf_counter()
    consumer.run()
    pending = servers.redis.xpending(keys.queue(0), GROUP)
    assert pending["pending"] == 0
    return ENTRIES / (ended - started)
