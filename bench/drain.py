"""Worker drain: entries a second read, scored, decided, stored, outboxed and acknowledged by one worker process,
against VADER alone scoring the same texts on one core, in turns."""

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

ENTRIES = 8_000
ROUNDS = 5


def run(servers: Servers, texts: Sequence[str], say: Callable[[str], object]) -> list[Figure]:
    """The median rate of each."""
    chosen = [texts[number % len(texts)][:5000] for number in range(ENTRIES)]
    analyzer = SentimentIntensityAnalyzer()
    servers.redis.flushall()  # whatever another benchmark left in the queue
    worker = servers.python("-m", "worker")
    wait_until(lambda: servers.redis.exists(keys.queue(0)) and servers.redis.xinfo_consumers(keys.queue(0), GROUP))
    _drain(servers, worker, chosen[:1000])  # warm up
    ours, theirs = [], []
    for turn in range(ROUNDS):
        say(f"worker drain: round {turn + 1} of {ROUNDS}, VADER alone")
        started = time.perf_counter()
        for text in chosen:
            analyzer.polarity_scores(text)
        theirs.append(ENTRIES / (time.perf_counter() - started))
        say(f"worker drain: round {turn + 1} of {ROUNDS}, worker")
        ours.append(ENTRIES / _drain(servers, worker, chosen))
    return [Figure("worker drain", statistics.median(ours), statistics.median(theirs), "VADER alone", "/s", 0.5)]


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
