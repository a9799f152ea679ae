"""Turning into another program, which then has this process's number.

Guarantees: it does not happen when the supervisor is already gone, so that nobody is left to stop the program.
"""

import os
import pwd
import select
import sys
from collections.abc import Sequence
from typing import NoReturn


def become(command: Sequence[str], user: str | None = None) -> NoReturn:
    """Run `command` in place of this process, as `user` if one is named (which takes root)."""
    # The supervisor never writes to this pipe: readable means that its other end was closed.
    if os.environ.get("HEED_FOLLOW_PARENT") == "1" and select.select([sys.stdin], [], [], 0)[0]:
        sys.exit("the supervisor is gone")
    if user is not None:
        account = pwd.getpwnam(user)
        os.chdir("/")
        os.initgroups(user, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    os.execv(command[0], list(command))  # noqa: S606 - a list, no shell
