"""A street graph: junctions joined by straight streets, shortest ways between them. Pure.

Junctions are numbered from 0; every street can be walked both ways; lengths are metres on the ground.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from protocols.geo import LatLon, distance_m


@dataclass(frozen=True)
class Streets:
    """`ways[j]` holds (neighbour, metres) of junction j."""

    places: tuple[LatLon, ...]
    ways: tuple[tuple[tuple[int, float], ...], ...]
    _routes: dict[int, list[int]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, places: Sequence[LatLon], streets: Iterable[tuple[int, int]]) -> "Streets":
        """From junctions' places and pairs of junctions; ValueError when a part cannot be walked to."""
        ways: list[list[tuple[int, float]]] = [[] for _ in places]
        for a, b in streets:
            length = distance_m(places[a], places[b])
            ways[a].append((b, length))
            ways[b].append((a, length))
        made = cls(tuple(places), tuple(tuple(way) for way in ways))
        if -1 in made.towards(0)[1:]:
            raise ValueError("the streets fall into parts that are not joined")
        return made

    def nearest(self, place: LatLon) -> int:
        """The junction nearest to `place`."""
        return min(range(len(self.places)), key=lambda j: distance_m(self.places[j], place))

    def towards(self, goal: int) -> list[int]:
        """For each junction the next one on the shortest way to `goal` (-1 at the goal itself); kept."""
        known = self._routes.get(goal)
        if known is None:
            known = self._routes[goal] = self._shortest(goal)
        return known

    def way(self, start: int, goal: int) -> list[int]:
        """The junctions after `start` on the shortest way to `goal`."""
        following, way = self.towards(goal), []
        while start != goal:
            start = following[start]
            way.append(start)
        return way

    def length_m(self, way: Sequence[int]) -> float:
        return sum(distance_m(self.places[a], self.places[b]) for a, b in pairwise(way))

    def _shortest(self, goal: int) -> list[int]:
        following = [-1] * len(self.places)
        best = {goal: 0.0}
        queue = [(0.0, goal)]
        while queue:
            length, at = heapq.heappop(queue)
            for neighbour, metres in self.ways[at]:
                total = length + metres
                if length <= best[at] and total < best.get(neighbour, float("inf")):
                    best[neighbour] = total
                    following[neighbour] = at
                    heapq.heappush(queue, (total, neighbour))
        return following
