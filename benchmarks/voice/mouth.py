"""To come."""
from benchmarks.metric import Metric, Row
from .size import Size
METRICS: tuple[Metric, ...] = ()
async def measure(runs: int, size: Size) -> list[Row]:
    return []
