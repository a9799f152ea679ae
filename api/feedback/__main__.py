"""`python -m api.feedback` serves the feedback site."""

from api.feedback.app import create_app
from heed import tracing
from heed.settings import load
from heed.telemetry import configure
from heed.web.serve import serve

if __name__ == "__main__":
    settings = load()
    configure("feedback", settings.log_level)
    tracing.configure(settings, "feedback")
    serve(create_app(settings), settings, settings.feedback_port)
