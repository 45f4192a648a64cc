"""The scenarios' site: one district, two stations, a police room; patrols at round distances from pillar p-01.

    qu ─┬─ s1 ─── r1 ── p-01 at point 001      police  po-1 (400 m), auxiliary au-1 (300 m), volunteers vo-1 (100 m),
        │                                      vo-2 (200 m), vo-9 (on stand-by at home, 250 m)
        │     s1:     p-02 at point 002 (5 km) police po-2 (800 m), auxiliary au-2 (900 m)
        └─ s2 ─── p-03, no point, no position  police po-3 (2.5 km), auxiliary au-3 (9 km), volunteer vo-3 (700 m)

Every patrol X has the terminal t-X; po-2 has a second, t-po-2b. Operators: boss (qu, duty-leader, police), root (qu,
admin), li (s1, operator, police), wang (r1, operator), sun (s2, operator), eye (qu, viewer). Schedules: sc-1 (s1, all
its pillars), sc-2 (s1, the terminals of r1).
"""

import math
from typing import Final

from protocols import site

CENTRE: Final = (26.9, 112.57)
BEARINGS: Final = {"north": (1.0, 0.0), "south": (-1.0, 0.0), "east": (0.0, 1.0), "west": (0.0, -1.0)}
PATROLS: Final = {
    "po-1": ("r1", "police", 400, "north"),
    "au-1": ("r1", "auxiliary", 300, "south"),
    "vo-1": ("r1", "volunteer", 100, "east"),
    "vo-2": ("r1", "volunteer", 200, "west"),
    "vo-9": ("r1", "volunteer", 450, "south"),
    "po-2": ("s1", "police", 800, "north"),
    "au-2": ("s1", "auxiliary", 900, "east"),
    "po-3": ("s2", "police", 2500, "west"),
    "au-3": ("s2", "auxiliary", 9000, "west"),
    "vo-3": ("s2", "volunteer", 700, "south"),
}
OFF_DUTY: Final = frozenset({"vo-9"})


def at_metres(metres: float, bearing: str) -> tuple[float, float]:
    """So far from pillar p-01 in a direction."""
    north, east = BEARINGS[bearing]
    lat = CENTRE[0] + north * metres / 111_195
    return (lat, CENTRE[1] + east * metres / (111_195 * math.cos(math.radians(CENTRE[0]))))


def make_site() -> tuple[site.Site, dict[str, tuple[float, float]]]:
    """The site, and where its devices stand."""
    where = {f"t-{id_}": at_metres(m, bearing) for id_, (_, _, m, bearing) in PATROLS.items()}
    where["t-po-2b"] = where["t-po-2"]
    far = at_metres(5_000, "east")
    made = site.Site(
        name="scenarios",
        unit=[
            site.Unit(id="qu", duty_leaders=["t-po-3"]),
            site.Unit(id="s1", parent="qu", duty_leaders=["t-po-2"]),
            site.Unit(id="s2", parent="qu"),
            site.Unit(id="r1", parent="s1"),
        ],
        point=[
            site.Point(id="pt-1", unit="r1", number="001", name="东门", lat=CENTRE[0], lon=CENTRE[1]),
            site.Point(id="pt-2", unit="s1", number="002", name="桥头", lat=far[0], lon=far[1]),
        ],
        patrol=[
            site.Patrol(id=id_, unit=unit, force=force, on_duty=id_ not in OFF_DUTY, standby=id_ == "vo-9")  # type: ignore[arg-type]
            for id_, (unit, force, _, _) in PATROLS.items()
        ],
        device=[
            site.Device(id="p-01", kind="pillar", unit="r1", point="pt-1"),
            site.Device(id="p-02", kind="pillar", unit="s1", point="pt-2"),
            site.Device(id="p-03", kind="pillar", unit="s2"),
            *(
                site.Device(id=f"t-{id_}", kind="terminal", unit=unit, patrol=id_)
                for id_, (unit, _, _, _) in PATROLS.items()
            ),
            site.Device(id="t-po-2b", kind="terminal", unit="s1", patrol="po-2"),
        ],
        talk_group=[site.TalkGroup(id="g-s1", unit="s1", units=["s1"])],
        schedule=[
            site.Schedule(id="sc-1", unit="s1", text="谨防电信诈骗", at=["10:00", "18:00"]),
            site.Schedule(
                id="sc-2", unit="s1", text="交接班", at=["8:00"], units=["r1"], pillars=False, terminals=True
            ),
        ],
        operator=[
            site.Operator(id="boss", unit="qu", role="duty-leader", police=True),
            site.Operator(id="root", unit="qu", role="admin"),
            site.Operator(id="li", unit="s1", role="operator", police=True),
            site.Operator(id="wang", unit="r1", role="operator"),
            site.Operator(id="sun", unit="s2", role="operator"),
            site.Operator(id="eye", unit="qu", role="viewer"),
        ],
    )
    return made, where
