"""`python -m heed.probe PORT [PATH]`: a container's health check. Exit code 0 when the service there answers 200.

Imports next to nothing: it runs every few seconds beside the service, in the service's own limits.
"""

import sys
from http.client import HTTPConnection, HTTPException

SECONDS = 4.0


def probe(port: int, path: str = "/healthz") -> str | None:
    """None when the service on this machine's `port` is well, else what is wrong with it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(1000).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"no answer on port {port}: {type(error).__name__}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"{answer.status}: {body}"


if __name__ == "__main__":
    sys.exit(probe(int(sys.argv[1]), *sys.argv[2:3]))
