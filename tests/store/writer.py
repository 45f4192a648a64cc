"""A process that commits until it is killed: `python -m tests.store.writer PATH SEED`.

It prints the last seq after each commit has returned. A row's body names the last row of its batch.
"""

import os
import random
import sys

from dispatchd.store import open_store
from dispatchd.store.base import NewRow


def batch_after(seq: int, size: int) -> list[NewRow]:
    """Rows seq+1 … seq+size."""
    last = b"%d" % (seq + size)
    return [NewRow(n, n, "alarm_raised", 1, f"i-{n % 9}", last) for n in range(seq + 1, seq + size + 1)]


def main(path: str, seed: str) -> None:
    chance = random.Random(seed)
    store = open_store(f"sqlite:{path}")
    seq = store.last_seq()
    print("open", os.getpid(), flush=True)
    while True:
        seq = store.commit(batch_after(seq, chance.choice((1, 1, 2, 8, 32))))
        print(seq, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
