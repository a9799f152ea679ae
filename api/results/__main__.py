"""`python -m api.results` serves the results site."""

import resource
from contextlib import suppress

from api.results.app import create_app
from heed.settings import load
from heed.telemetry import configure
from heed.web.serve import serve


def main() -> None:
    """Serve until told to stop."""
    settings = load()
    configure("results", settings.log_level)
    with suppress(ValueError, OSError):  # each live viewer holds a socket; many systems begin at 1,024 files
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    app = create_app(settings)
    serve(app, settings, settings.results_port, stopping=app.state.live.close)


if __name__ == "__main__":
    main()
