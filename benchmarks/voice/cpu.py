"""What a process has used of the processors: user and system time of all its threads, ended ones too.

Read from the kernel's clock of that process (clock_getcpuclockid), which counts nanoseconds; the ticks in
/proc/PID/stat count hundredths of a second.
"""

import time
from typing import Final

CPUCLOCK_SCHED: Final = 2
"""Of the clock ids of Linux: what the scheduler accounted, precisely."""


def cpu_s(pid: int) -> float:
    """Seconds so far; OSError when there is no such process."""
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
