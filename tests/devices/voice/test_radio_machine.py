"""Three radios and their people in any order of events: never two talkers by their own doing, and always an end."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devices.voice.participant import State
from devices.voice.radio_events import EmergencyHeld
from tests.devices.voice.air import GROUP, Air

NAMES = ("t-1", "t-2", "t-3")
name = st.sampled_from(NAMES)


class Radios(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.air = Air(*NAMES)
        self.air.link()
        self.down: set[str] = set()
        self.air.run(100)

    @rule(who=name)
    def press(self, who: str) -> None:
        self.down.add(who)
        self.air.key(who, down=True)

    @rule(who=name)
    def let_go(self, who: str) -> None:
        self.down.discard(who)
        self.air.key(who, down=False)

    @rule(who=name)
    def emergency(self, who: str) -> None:
        self.air.do(self.air.handhelds[who], EmergencyHeld(1_000))

    @rule(ms=st.integers(1, 40))
    def a_moment(self, ms: int) -> None:
        self.air.run(ms)

    @rule(s=st.integers(1, 40))
    def some_time(self, s: int) -> None:
        self.air.run(s * 1_000)

    @rule()
    def daemon_restarts(self) -> None:
        self.air.restart()

    @rule(answers=st.booleans())
    def daemon_answers(self, answers: bool) -> None:
        self.air.answers = answers

    @rule(who=name, up=st.booleans(), down=st.booleans())
    def datagrams(self, who: str, up: bool, down: bool) -> None:
        one = self.air.handhelds[who]
        one.udp_up, one.udp_down = up, down

    @rule(who=name)
    def link_breaks(self, who: str) -> None:
        if who in self.air.linked:
            self.air.unlink(who)

    @rule(who=name)
    def link_comes(self, who: str) -> None:
        if who not in self.air.linked:
            self.air.link(who)

    @rule()
    def new_epoch(self) -> None:
        self.air.rekey()

    @invariant()
    def nobody_hears_two_at_once(self) -> None:
        """Whatever the radios do, the site passes each burst of one talker only."""
        talkers: dict[int, set[str]] = {}
        for who, burst, _ in self.air.passed:
            talkers.setdefault(burst, set()).add(who)
        assert all(len(who) == 1 for who in talkers.values())

    @invariant()
    def microphones_are_open_with_permission_only(self) -> None:
        for one in self.air.handhelds.values():
            states = [p.state for p in one.radio.participants.values() if p.talking]
            assert len(states) <= 1
            assert set(states) <= {State.PERMITTED, State.TAIL, State.REVOKED}
            assert one.talking == bool(states), one.device

    @invariant()
    def each_frame_is_played_once(self) -> None:
        for one in self.air.handhelds.values():
            frames = [(heard.frame.burst, heard.frame.seq) for _, heard in one.heard]
            assert len(frames) == len(set(frames))

    def teardown(self) -> None:
        """Fingers off, the network whole: everything is idle soon, and a press works again."""
        air = self.air
        air.answers = True
        for one in air.handhelds.values():
            air.key(one.device, down=False)
            one.udp_up = one.udp_down = True
        for who in set(NAMES) - air.linked:
            air.link(who)
        air.run(45_000)
        for one in air.handhelds.values():
            assert one.radio.participants == {}
            assert not one.talking
            assert one.radio.carriage == "datagram"
        self._release_at_site()
        air.run(1_000)
        air.key("t-1", down=True)
        air.run(1_000)
        burst = air.handhelds["t-1"].radio.participants[GROUP].burst
        assert burst
        assert air.handhelds["t-2"].seqs(burst)

    def _release_at_site(self) -> None:
        """The little site has no T1: what lost its release keeps the floor there; a daemon frees it in 4 s."""
        while self.air.talker is not None:
            self.air._free("end-of-media")


Radios.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestRadios = Radios.TestCase
