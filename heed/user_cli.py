"""`heed user`: let somebody in to the results site, and keep them out.

Guarantees: a password is printed once and kept nowhere in words; what is done is in the audit.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console

from heed.contracts import Role
from heed.errors import HeedError, Invalid
from heed.settings import load_running

# Each command imports what it alone needs, as those of `heed.cli` do.
app = typer.Typer(help="Let people in to the results site, and keep them out.", no_args_is_help=True)
console = Console(highlight=False, stderr=True)
Name = Annotated[str, typer.Argument(help="the name that they log in with; capitals do not matter")]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="what they may do")],
    survey: Annotated[list[str] | None, typer.Option(help="the only survey they see; may be repeated")] = None,
    password: Annotated[bool, typer.Option(help="without: they log in by HEED_OIDC_ISSUER alone")] = True,
) -> None:
    """Add somebody, and print their password, this once."""
    from heed.cli import database
    from heed.db import engine as db
    from heed.db import people
    from heed.db.audit import COMMAND

    try:
        from heed import passwords
    except ImportError as error:
        raise HeedError(f"`heed user add` is not installed here: {error}.") from None

    name = _name(name)
    made = passwords.make() if password else None
    kept = passwords.hash_of(made) if made else None
    with database(load_running()) as engine, db.begin(engine) as connection:
        people.add(connection, COMMAND, name, role, survey or None, kept)
    how = "with this password:" if made else "by the provider of HEED_OIDC_ISSUER, with this address."
    console.print(f"{name} may log in, as {role}, {how}", soft_wrap=True, markup=False)
    if made:
        sys.stdout.write(made + "\n")


@app.command()
def disable(name: Name) -> None:
    """Log somebody out everywhere, and do not let them in again."""
    from heed.cli import database
    from heed.db import engine as db
    from heed.db import people
    from heed.db.audit import COMMAND

    name = _name(name)
    with database(load_running()) as engine, db.begin(engine) as connection:
        person = people.find(connection, name, hold=True)
        if person is None:
            raise HeedError(f"There is nobody called {name}.")
        people.change(connection, COMMAND, name, person.role, person.surveys, disabled=True)
    console.print(f"{name} is logged out and may no longer log in.", soft_wrap=True, markup=False)


def _name(given: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from heed.contracts import PersonName

    try:
        name: str = TypeAdapter(PersonName).validate_python(given)
    except ValidationError:
        raise Invalid("A name has letters, digits and . _ @ + -, and at most 64 of them.") from None
    return name
