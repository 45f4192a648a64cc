"""Ground: distances against published ones, bearings, and the plane's polygon."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocols.geo import EARTH_RADIUS_M, LatLon, bearing_deg, distance_m, inside

POINTS = st.tuples(st.floats(-89, 89), st.floats(-180, 180))
CITY = st.tuples(st.floats(26.8, 27.0), st.floats(112.4, 112.8))
SQUARE: list[LatLon] = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)]
CONCAVE: list[LatLon] = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 2.0), (0.0, 10.0)]

# WGS-84 ellipsoid: one degree along a meridian and along a parallel, from the published series.
DEGREES = [
    ((45.0, 0.0), (46.0, 0.0), 111_141),
    ((0.0, 0.0), (0.0, 1.0), 111_320),
    ((30.0, 0.0), (30.0, 1.0), 96_486),
]


@pytest.mark.parametrize(("a", "b", "metres"), DEGREES)
def test_a_degree_is_as_long_as_published_within_half_a_percent(a: LatLon, b: LatLon, metres: float) -> None:
    assert distance_m(a, b) == pytest.approx(metres, rel=0.005)


def test_quarter_and_half_of_the_globe() -> None:
    assert distance_m((0, 0), (90, 0)) == pytest.approx(math.pi / 2 * EARTH_RADIUS_M)
    assert distance_m((0, 0), (0, 180)) == pytest.approx(math.pi * EARTH_RADIUS_M)
    assert distance_m((0, 179.5), (0, -179.5)) == pytest.approx(distance_m((0, 0), (0, 1)))


@given(POINTS, POINTS)
def test_distance_is_the_same_both_ways_and_never_more_than_half_the_globe(a: LatLon, b: LatLon) -> None:
    there = distance_m(a, b)
    assert there == pytest.approx(distance_m(b, a), abs=1e-6)
    assert 0 <= there <= math.pi * EARTH_RADIUS_M
    assert distance_m(a, a) == 0


@given(CITY, CITY, CITY)
def test_no_detour_is_shorter(a: LatLon, b: LatLon, c: LatLon) -> None:
    assert distance_m(a, c) <= distance_m(a, b) + distance_m(b, c) + 1e-6


@pytest.mark.parametrize(
    ("to", "degrees"),
    [((1, 0), 0), ((1, 1), 45), ((0, 1), 90), ((-1, 0), 180), ((0, -1), 270), ((1, -1), 315)],
)
def test_bearing_of_the_compass(to: LatLon, degrees: float) -> None:
    assert bearing_deg((0, 0), to) == pytest.approx(degrees, abs=0.01)


@given(POINTS, POINTS)
def test_bearing_fits_the_wire(a: LatLon, b: LatLon) -> None:
    assert 0 <= bearing_deg(a, b) < 360


@given(CITY, CITY)
def test_bearing_back_is_the_opposite_within_a_city(a: LatLon, b: LatLon) -> None:
    assume(distance_m(a, b) > 1)
    turned = (bearing_deg(b, a) - bearing_deg(a, b)) % 360
    assert turned == pytest.approx(180, abs=0.5)


@given(st.floats(0.001, 9.999), st.floats(0.001, 9.999))
def test_inside_the_square_whichever_way_it_is_drawn(lat: float, lon: float) -> None:
    assert inside((lat, lon), SQUARE)
    assert inside((lat, lon), SQUARE[::-1])
    assert inside((lat, lon), [*SQUARE[2:], *SQUARE[:2]])


@given(POINTS)
def test_outside_the_square(point: LatLon) -> None:
    assume(not (0 <= point[0] <= 10 and 0 <= point[1] <= 10))
    assert not inside(point, SQUARE)


def test_the_bay_of_a_concave_polygon_is_outside() -> None:
    assert inside((5, 1), CONCAVE)
    assert not inside((5, 5), CONCAVE)
    assert inside((9, 8), CONCAVE)


@pytest.mark.parametrize("corners", [[], [(0.0, 0.0)], [(0.0, 0.0), (10.0, 10.0)]])
def test_fewer_than_three_corners_hold_nothing(corners: list[LatLon]) -> None:
    assert not inside((5, 5), corners)
    assert not inside((0, 0), corners)
