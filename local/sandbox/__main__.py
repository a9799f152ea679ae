"""`python -m local.sandbox`: the Zendesk sandbox on HEED_SANDBOX_PORT, its data in HEED_HOME/sandbox."""

from heed import telemetry
from heed.settings import load
from heed.web.serve import serve
from local.sandbox.app import create_app


def main() -> None:
    """Serve until told to stop."""
    settings = load()
    telemetry.configure("sandbox", settings.log_level)
    serve(create_app(settings, settings.home / "sandbox" / "sandbox.db"), settings, settings.sandbox_port)


if __name__ == "__main__":
    main()
