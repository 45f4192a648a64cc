"""The numbers by which the service behaves towards people: default, unit, bounds and origin of each.

A site sets them for everybody, for a unit (and what is below it) and for a duty level. docs/rules.md is
generated from here.
"""

from typing import Annotated

from msgspec import Meta, Struct


def _seconds(text: str, low: float = 0, high: float = 86_400) -> Meta:
    return Meta(ge=low, le=high, description=text + " (seconds)")


def _metres(text: str) -> Meta:
    return Meta(ge=0, le=100_000, description=text + " (metres)")


def _number(text: str, low: int = 0, high: int = 1000) -> Meta:
    return Meta(ge=low, le=high, description=text)


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """Every number of the service, with RULES' defaults."""

    # who is heard
    presence_dead_s: Annotated[
        float, _seconds("silence after which a device is offline; three missed states", 5, 600)
    ] = 15
    patrol_silent_s: Annotated[
        float, _seconds("an accepted patrol with no terminal heard for so long is replaced", 5, 3600)
    ] = 60
    # rings
    ring1_patrols: Annotated[int, _number("ring 1 calls so many nearest patrols", 1, 50)] = 3
    ring1_m: Annotated[float, _metres("reach of ring 1; GoodSAM's city practice")] = 500
    ring1_police_m: Annotated[float, _metres("ring 1 includes the nearest police patrol within this")] = 3000
    ring2_patrols: Annotated[int, _number("ring 2 calls the next so many", 1, 100)] = 5
    ring2_m: Annotated[float, _metres("reach of ring 2")] = 1000
    accepts_wanted: Annotated[
        int, _number("accepts that are enough, one of them not a volunteer's", 1, 50)
    ] = 2
    answer_within_s: Annotated[
        float, _seconds("time to accept, from the first presented (or from the call)", 1, 600)
    ] = 15
    standby_answer_within_s: Annotated[
        float,
        _seconds("the same for patrols on stand-by at home; night median turnout is over 2 minutes", 1, 3600),
    ] = 180
    position_fresh_s: Annotated[
        float, _seconds("a position older than this no longer gives a distance", 5, 3600)
    ] = 120
    relook_s: Annotated[
        float,
        _seconds(
            "rings exhausted and not enough: newly available patrols are looked for again every", 5, 3600
        ),
    ] = 30
    everybody_after_s: Annotated[
        float, _seconds("no operator has accepted for so long: everybody is called by itself", 5, 3600)
    ] = 120
    # the call at the terminal
    remind_every_s: Annotated[
        int, _number("vibration, lamp and tone repeat every so many seconds", 1, 60)
    ] = 5
    remind_for_s: Annotated[int, _number("and for so many seconds in all", 0, 600)] = 60
    min_volume_pct: Annotated[int, _number("a call is never quieter than this", 0, 100)] = 60
    # owner
    escalate_first_s: Annotated[
        float, _seconds("no owner: the next level too; NENA answers 95 % in 20 s", 1, 3600)
    ] = 20
    escalate_top_s: Annotated[float, _seconds("no owner: the top level too", 1, 3600)] = 40
    alert_every_s: Annotated[
        float, _seconds("then all levels and the duty leaders' terminals, again every", 1, 3600)
    ] = 20
    owner_dead_s: Annotated[
        float, _seconds("an owner without a live session for so long loses the incident", 5, 3600)
    ] = 60
    owner_idle_s: Annotated[
        float, _seconds("an owner who does nothing for so long while nobody is en route loses it", 5, 3600)
    ] = 120
    # alarms
    late_after_s: Annotated[
        float, _seconds("an alarm older than this at receipt rings only on the owner's order")
    ] = 600
    rejoin_after_s: Annotated[
        float, _seconds("a press so long after the last one starts the rings again", 1)
    ] = 300
    verify_ring_after_s: Annotated[
        float, _seconds("a pillar under verify-first rings after this if the owner says nothing", 0, 600)
    ] = 30
    verify_max_s: Annotated[float, _seconds("verify-first ends by itself after at most this", 60, 7200)] = (
        7200
    )
    handoff_red_s: Annotated[float, _seconds("an unconfirmed hand-off is red after this", 1, 3600)] = 60
    wait_prompt_s: Annotated[float, _seconds("the pillar says wait this often", 5, 120)] = 15
    spoken_for_s: Annotated[
        float, _seconds("after the press the pillar speaks no longer than this", 10, 600)
    ] = 120
    question_s: Annotated[float, _seconds("a yes/no question stays open for", 5, 300)] = 30
    # voice: floor control with the timers of TS 24.380
    talk_s: Annotated[
        float, _seconds("T2: one burst is at most this long; then the floor is revoked", 5, 3600)
    ] = 30
    floor_grace_s: Annotated[
        float, _seconds("T3: sound after a revoke is still passed on for so long", 0, 10)
    ] = 3
    end_of_media_s: Annotated[float, _seconds("T1: no sound for so long ends the burst", 0.5, 60)] = 4
    grant_repeat_s: Annotated[float, _seconds("T20: granted is said again until sound comes", 0.2, 10)] = 1
    grant_repeats: Annotated[int, _number("C20: and after so many times the floor is free again", 1, 10)] = 3
    queue_max: Annotated[int, _number("requests that may wait for one floor; more are denied", 0, 100)] = 10
    queue_for_s: Annotated[float, _seconds("a request waits no longer than this", 1, 600)] = 30
    hot_microphone_s: Annotated[
        int, _number("a terminal's emergency key opens its microphone for so many seconds", 0, 60)
    ] = 10
    catch_up_s: Annotated[
        float, _seconds("who joins or returns hears so much of what he missed, faster; 0 = nothing", 0, 15)
    ] = 15
    near_pillar_m: Annotated[
        float, _metres("terminals within this of a talking pillar do not play it: it would howl")
    ] = 50
    # recordings
    recording_days: Annotated[int, _number("recordings of no incident are kept so many days", 30, 3660)] = 90
    record_days: Annotated[
        int, _number("what belongs to an incident is kept so many days after its end", 30, 36_600)
    ] = 1095
    # delivery
    retry_first_s: Annotated[
        float, _seconds("an item not reported delivered is sent again after", 0.2, 60)
    ] = 2
    retry_max_s: Annotated[float, _seconds("and then at doubling distances up to", 1, 600)] = 30
    second_route_after_s: Annotated[
        float,
        _seconds("an addressee who has not presented an item by then gets it by another route", 1, 3600),
    ] = 15
    broadcast_ttl_s: Annotated[
        float, _seconds("a broadcast expires after this unless it says otherwise", 10)
    ] = 3600
    item_ttl_s: Annotated[
        float, _seconds("a call, order, stand-down or prompt is not presented after", 10)
    ] = 600
    keep_ended_s: Annotated[
        float,
        _seconds("an ended incident or broadcast stays on the screen for; the record stays for years", 10),
    ] = 3600
    trail_days: Annotated[int, _number("trails outside incidents go after so many days", 1, 366)] = 30


class Override(Struct, frozen=True, forbid_unknown_fields=True):
    """Other numbers for a unit and what is below it, for a duty level, or for both."""

    values: dict[str, int | float]
    unit: str | None = None
    duty_level: str | None = None
