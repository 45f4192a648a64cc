"""Why a command failed: a sentence for stderr and an exit code, documented in docs/operators.md."""

from typing import Final

OK: Final = 0
REFUSED: Final = 1  # the daemon said no, or what was named does not exist
USAGE: Final = 2  # argparse's own
UNREACHABLE: Final = 3  # no daemon, or it is starting
NOT_ALLOWED: Final = 4  # token or role
BAD_FILE: Final = 5  # settings, site file, list or store cannot be used
DISK_FULL: Final = 6
NOT_ALL_HEARD: Final = 7  # the broadcast ended and somebody has not heard
INTERNAL: Final = 70
INTERRUPTED: Final = 130


class CliError(Exception):
    """Shown as it is, without a traceback."""

    def __init__(self, why: str, code: int = REFUSED) -> None:
        super().__init__(why)
        self.code = code
