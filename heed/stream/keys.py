"""Names of the keys. All keys of a partition share the hash tag `{p}`, so one script may touch them on a cluster."""

from zlib import crc32

SURVEYS = "heed:surveys"  # hash: slug -> Survey as JSON, the published copy that the form reads
API_KEYS = "heed:api-keys"  # set: sha256 of each API key that may send answers, published likewise


def partition_of(name: str, partitions: int) -> int:
    """The partition that `name` (a client's id, an address) belongs to."""
    return crc32(name.encode()) % partitions


def queue(partition: int) -> str:
    """The stream of submissions."""
    return f"heed:{{{partition}}}:queue"


def vote(partition: int, survey: str, client: str) -> str:
    """The lock that holds a client's first vote: `<submission id> <digest of the request>`."""
    return f"heed:{{{partition}}}:vote:{survey}:{client}"


def burst(partition: int, survey: str) -> str:
    """Admissions to a survey in the current minute."""
    return f"heed:{{{partition}}}:burst:{survey}"


def rate(partition: int, address: str) -> str:
    """Admissions of an address in the current minute."""
    return f"heed:{{{partition}}}:rate:{address}"
