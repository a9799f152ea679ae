"""Settings, all from the environment with the prefix `HEED_`; the README's table is held to this file by a test.

What the environment does not say is looked for in files of the same names in HEED_SECRETS_DIR, where Compose, Swarm and
Kubernetes put secrets, so that these need not be in any environment.

Guarantees: a value that makes no sense stops the start with a sentence that names the variable; secrets are
`SecretStr`, so that neither a log line nor a traceback shows them; nothing listens beyond loopback unless told to.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRETS_DIR = "/run/secrets"

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """One field for each variable; the description says what it does."""

    model_config = SettingsConfigDict(env_prefix="HEED_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(Path(".heed"), description="data folder of the one-machine system")
    bind: str = Field("127.0.0.1", description="address that every service listens on")
    feedback_port: Port = Field(5000, description="port of the feedback site")
    results_port: Port = Field(5001, description="port of the results site")
    sandbox_port: Port = Field(5002, description="port of the Zendesk sandbox")
    ops_port: Port | None = Field(
        None,
        description="port of health and metrics of the worker, the relay and ticketing (none: not served)",
    )
    feedback_url: AnyHttpUrl | None = Field(None, description="public address of the feedback site, for receipts")
    results_url: AnyHttpUrl | None = Field(None, description="address of the results site, for links in tickets")
    trusted_proxies: str = Field("", description="addresses whose X-Forwarded-For is believed, by comma; `*` for all")

    secret_key: SecretStr | None = Field(None, description="signs client tokens, receipts and login links")
    admin_password: SecretStr | None = Field(None, description="password of the results site's built-in admin")
    api_key: SecretStr | None = Field(None, description="an API key with every scope, for `Authorization: Bearer`")

    oidc_issuer: str | None = Field(
        None,
        description="OpenID provider to log in by, as it calls itself; needs the next two and HEED_RESULTS_URL",
    )
    oidc_client_id: str | None = Field(None, description="what the provider calls the results site")
    oidc_client_secret: SecretStr | None = Field(None, description="the secret that the provider gave the results site")
    oidc_name: Annotated[str, Field(max_length=60)] = Field(
        "single sign-on", description="what the login page calls the provider"
    )

    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="the queue")
    database_url: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/heed"), description="Postgres, as a libpq address"
    )
    aws_endpoint: AnyHttpUrl | None = Field(None, description="address of a local AWS stand-in (none: AWS itself)")
    aws_region: str = Field("eu-central-1", description="region of the bus and the queue")
    event_bus: str = Field("heed", description="name of the EventBridge bus")
    event_queue: str = Field("heed-tickets", description="name of the SQS queue that the rule feeds")

    partitions: Annotated[int, Field(ge=1, le=256)] = Field(1, description="partitions of the queue")
    queue_cap: Annotated[int, Field(ge=1)] = Field(
        1_000_000, description="entries a partition may hold before the form answers 503"
    )
    rate_limit: Annotated[int, Field(ge=0)] = Field(60, description="admissions a minute and address; 0 = off")
    # Short, since to be wrong costs an unhappy customer their ticket until a manager looks; programs need milliseconds.
    form_seconds: Annotated[float, Field(ge=0)] = Field(
        0.3, description="a form that comes back sooner was not filled in by hand, and a manager decides; 0 = off"
    )
    vote_lock_days: Annotated[int, Field(ge=1)] = Field(
        30, description="days that Redis remembers a vote (Postgres remembers for good)"
    )

    scorer: str = Field(
        "light",
        description="what scores the words: `light`, `vader`, a model's `.json`, or the folder of an embedding model",
    )
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = Field(500, description="entries a worker takes at once")
    reclaim_after: Annotated[float, Field(gt=0)] = Field(
        15, description="seconds after which a dead worker's entries are taken over"
    )
    failure_limit: Annotated[int, Field(ge=1)] = Field(
        50, description="unexpected failures in a row that stop the worker instead of filling the quarantine"
    )
    republish_after: Annotated[float, Field(gt=0)] = Field(
        30,
        description="seconds until an event without a ticket is published again (then twice as long each time)",
    )
    events_visibility: Annotated[int, Field(ge=1, le=43200)] = Field(
        60, description="seconds until a queue message that was not finished is delivered again"
    )

    desk: Literal["zendesk", "console"] = Field("zendesk", description="where tickets go; `console` only prints them")
    zendesk_subdomain: str | None = Field(None, description="your Zendesk's subdomain")
    zendesk_email: str = Field("heed@example.com", description="the agent that Heed acts as")
    zendesk_token: SecretStr | None = Field(None, description="that agent's API token")
    zendesk_url: AnyHttpUrl | None = Field(None, description="another Zendesk address, such as the sandbox's")
    zendesk_webhook_secret: SecretStr | None = Field(None, description="signing secret of Zendesk's webhook")
    zendesk_poll_seconds: Annotated[float, Field(gt=0)] = Field(
        60, description="seconds between looks for tickets that changed"
    )
    sandbox_webhook_url: AnyHttpUrl | None = Field(None, description="where the sandbox tells of a ticket's new status")
    sandbox_rate_limit: Annotated[int, Field(ge=0)] = Field(0, description="requests a minute to the sandbox; 0 = off")
    anonymous_name: str = Field("Anonymous customer", description="requester of tickets without an address")
    anonymous_email: str = Field("anonymous@example.com", description="their address in Zendesk")

    retention_days: Annotated[int, Field(ge=0)] = Field(
        0, description="days after which what customers wrote is erased, while it stays counted; 0 = kept for good"
    )

    backup_to: str | None = Field(None, description="where backups go: a folder, or `s3://bucket/prefix`")
    backup_every_hours: Annotated[float, Field(gt=0, le=8784)] = Field(
        24, description="hours between backups of the schedule"
    )
    backup_keep: Annotated[int, Field(ge=1)] = Field(14, description="backups to keep; older ones are deleted")
    s3_endpoint: AnyHttpUrl | None = Field(None, description="address of another S3 than AWS's own")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    otlp_endpoint: AnyHttpUrl | None = Field(
        None, description="OpenTelemetry collector (OTLP over HTTP) that gets traces (none: no tracing)"
    )

    @field_validator("redis_url", "database_url")
    @classmethod
    def _an_address(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        # Here, because whoever parses it later shows a part of the password in its error.
        schemes = ("redis", "rediss", "unix") if info.field_name == "redis_url" else ("postgresql", "postgres")
        text = value.get_secret_value()
        scheme, _, rest = text.partition("://")
        # Postgres' own parsers take signs in a password that end the host for others.
        place = text if info.field_name == "redis_url" else f"//{rest.rpartition('@')[2]}"
        try:
            urlsplit(place).port  # noqa: B018 - it raises
        except ValueError:
            scheme = ""
        if scheme not in schemes:
            raise ValueError(f"must be an address such as {schemes[0]}://user:password@host, its password URL-encoded")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _a_provider(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not ((parts.scheme == "https" and parts.hostname) or local) or parts.query or parts.fragment:
            raise ValueError("must be an https:// address without ? and # (http:// on this machine alone)")
        return value

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters; make one with: openssl rand -hex 32")
        return value

    def need(self, name: str) -> str:
        """The setting `name` as text; ends the process with a clear sentence when it is not given."""
        value = getattr(self, name)
        if value is None:
            sys.exit(f"HEED_{name.upper()} is not set; this service cannot start without it (see README, Settings).")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def load() -> Settings:
    """The settings of this process; ends it with one line a mistake when one makes no sense."""
    folder = Path(os.environ.get("HEED_SECRETS_DIR") or SECRETS_DIR)
    try:
        return Settings(_secrets_dir=folder if folder.is_dir() else None)
    except ValidationError as error:
        for problem in error.errors():
            sys.stderr.write(f"HEED_{str(problem['loc'][0]).upper()}: {problem['msg']}\n")
        sys.exit(2)


def load_running() -> Settings:
    """The settings of the system that runs from HEED_HOME, for commands in another terminal.

    `heed up` writes what it chose (addresses, secrets) to `run.env` there, readable by its owner alone; the
    environment still wins.
    """
    written = Path(os.environ.get("HEED_HOME") or ".heed") / "run.env"
    if written.exists():
        for line in written.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            if name.startswith("HEED_"):
                os.environ.setdefault(name, value)
    return load()


def table() -> str:
    """The README's table of settings."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        shown = "" if default is None or default == "" else f"`{default}`"
        lines.append(f"| `HEED_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
