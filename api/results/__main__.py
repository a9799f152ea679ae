"""`python -m api.results` serves the results site."""

from api.results.app import create_app
from heed.settings import load
from heed.telemetry import configure
from heed.web.serve import serve


def main() -> None:
    """Serve until told to stop."""
    settings = load()
    configure("results", settings.log_level)
    app = create_app(settings)
    serve(app, settings, settings.results_port, stopping=app.state.live.close)


if __name__ == "__main__":
    main()
