"""Runs a program that dies with its parent: `python leash.py PARENT_PID PROGRAM ARGS…`.

mosquitto does not notice that its parent is gone; left behind, it would hold the port with an old access
list. On Linux the kernel is asked to terminate it (the wish survives exec, the pid stays); elsewhere the
program just runs. It imports nothing of ours, so that it starts in milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Does not return: becomes PROGRAM, or ends when the parent is gone already."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent ended before the broker began")
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
