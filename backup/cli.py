"""`heed backup` and `heed restore`, as a person or a job runs them."""

from typing import Annotated

import typer

from heed.settings import load_running

# The rest is imported when a command runs: the other commands of `heed` should not wait for it.


def backup(
    show: Annotated[bool, typer.Option("--list", help="only show which backups there are")] = False,
    check: Annotated[
        str | None, typer.Option(metavar="NAME|latest", help="only read this backup back and check it")
    ] = None,
) -> None:
    """Back up Postgres to HEED_BACKUP_TO, and keep the newest HEED_BACKUP_KEEP."""
    from backup import catalogue, display, dump
    from backup.check import check as check_whole
    from backup.place import connect

    settings = load_running()
    place = connect(settings)
    if show:
        there = catalogue.backups(place)
        if there:
            display.overview(there)
        else:
            display.say(f"There is no backup in {place.name}.")
    elif check is not None:
        with display.watching(settings) as watch:
            manifest = catalogue.pick(place, check)
            check_whole(place, manifest, watch)
        display.say(f"{manifest.name} is whole: {display.told(manifest)}.")
    else:
        with display.watching(settings) as watch:
            manifest = dump.take(settings, place, watch)
        display.say(f"{manifest.name} is in {place.name}: {display.told(manifest)}.")


def restore(
    name: Annotated[str, typer.Argument(help="which backup")] = "latest",
    replace: Annotated[
        bool, typer.Option("--replace", help="also where there is feedback; the present database is kept aside")
    ] = False,
) -> None:
    """Restore a backup: into a new database, verified, then switched to."""
    from backup import catalogue, display
    from backup.place import connect
    from backup.restore import restore as run
    from heed.books import in_words

    settings = load_running()
    place = connect(settings)
    with display.watching(settings) as watch:
        manifest = catalogue.pick(place, name)
        restored = run(settings, place, manifest, watch, replace=replace)
    display.say(f"Restored {manifest.name}, taken {display.age(manifest)} ago: {display.told(manifest)}.")
    if restored.settled is None:
        display.say("The queue does not answer, so nobody knows what is lost. When it is back, settle the books:")
        display.say(f"  heed settle 'restored from {manifest.name}'")
    else:
        display.say(f"Settled in the books: {in_words(restored.settled)}.")
        display.say("Start the services again; should the books differ once the queue is empty, run `heed settle`.")
    if restored.before is not None:
        display.say(f"The database from before is kept as {restored.before}. When it is not needed any more:")
        display.say(f"  DROP DATABASE {restored.before};")
