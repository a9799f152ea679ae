"""`heed up`: the whole system on this machine, until Ctrl-C."""

import asyncio
import os
from dataclasses import replace
from typing import Annotated

import typer

from heed.errors import HeedError
from heed.links import make_login_token
from heed.settings import Settings, load
from local.display import Display, Facts, Terminal
from local.home import Home
from local.stack import Stack, build
from local.supervisor import Supervisor
from local.watcher import stop_leftovers

_STORES = ("valkey", "postgres")


def up(
    stores: Annotated[bool, typer.Option("--stores", help="only Valkey and Postgres, such as for a restore")] = False,
) -> None:
    """Start the whole system on this machine; Ctrl-C stops it."""
    settings = load()
    try:
        _run(settings, stores)
    except OSError as error:
        raise HeedError(f"Heed cannot run from {settings.home}: {error}") from error


def _run(settings: Settings, stores: bool) -> None:
    home = Home(settings.home)
    lock = home.lock()
    stop_leftovers(home)
    stack = build(settings, home, os.environ)
    if stores:
        stack = replace(stack, parts=[part for part in stack.parts if part.name in _STORES])
    # A password that somebody chose stays theirs: only what was made or chosen here is written down.
    own = {"HEED_ADMIN_PASSWORD"} if os.environ.get("HEED_ADMIN_PASSWORD") else set()
    home.running({name: value for name, value in stack.environment.items() if name not in own})
    display = Display(Terminal(highlight=False), [part.name for part in stack.parts], lambda: _facts(stack, home, own))
    with display.showing():
        asyncio.run(Supervisor(stack.parts, home, stack.environment, display).run(lock))
    display.say("Heed has stopped; its data is kept.")


def _facts(stack: Stack, home: Home, own: set[str]) -> Facts:
    environment = stack.environment
    folders = [("Data", str(home.path)), ("Logs", str(home.log("*")))]
    if not _has(stack, "results"):
        return Facts(folders, None)
    login = make_login_token(environment["HEED_SECRET_KEY"])
    password = "as set in HEED_ADMIN_PASSWORD" if own else environment["HEED_ADMIN_PASSWORD"]
    desk = [("Zendesk", f"{environment['HEED_ZENDESK_URL']}/agent/ (sandbox)")] if _has(stack, "sandbox") else []
    return Facts(
        [
            ("Form", f"{environment['HEED_FEEDBACK_URL']}/"),
            ("Results", f"{environment['HEED_RESULTS_URL']}/"),
            *desk,
            ("Password", password),
            ("API key", environment["HEED_API_KEY"]),
            *folders,
        ],
        f"{environment['HEED_RESULTS_URL']}/login?once={login}",
    )


def _has(stack: Stack, name: str) -> bool:
    return any(part.name == name for part in stack.parts)
