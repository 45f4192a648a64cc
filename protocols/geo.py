"""Distances on the ground, WGS-84, good to half a percent within a city."""

import math
from collections.abc import Sequence
from typing import Final

EARTH_RADIUS_M: Final = 6_371_008.8
LatLon = tuple[float, float]
"""Degrees north and east."""


def distance_m(a: LatLon, b: LatLon) -> float:
    """Great-circle distance in metres (haversine)."""
    lat_a, lat_b = math.radians(a[0]), math.radians(b[0])
    half_lat, half_lon = (lat_b - lat_a) / 2, math.radians(b[1] - a[1]) / 2
    h = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(h)))


def bearing_deg(a: LatLon, b: LatLon) -> float:
    """First bearing from a to b, 0 <= degrees < 360, clockwise from north."""
    lat_a, lat_b, lon = math.radians(a[0]), math.radians(b[0]), math.radians(b[1] - a[1])
    east = math.sin(lon) * math.cos(lat_b)
    north = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(lon)
    return math.degrees(math.atan2(east, north)) % 360.0 % 360.0


def inside(point: LatLon, polygon: Sequence[LatLon]) -> bool:
    """Even-odd rule on the plane of degrees; fewer than three corners hold nothing."""
    lat, lon = point
    odd = False
    for (lat_1, lon_1), (lat_2, lon_2) in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
        if (lat_1 > lat) != (lat_2 > lat) and lon < (lon_2 - lon_1) * (lat - lat_1) / (lat_2 - lat_1) + lon_1:
            odd = not odd
    return odd and len(polygon) > 2
