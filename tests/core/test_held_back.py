"""A notice that waits for the end of an incident: who asks is told why, and nobody is sent there for it."""

from dispatchd.console import heard

from .desk import Desk


def test_the_desk_is_told_why_and_no_task_is_made() -> None:
    desk = Desk()
    desk.run("press p-01", "op boss broadcast text=天气预报 target.devices=p-01,p-02 ttl_s=600", "to 200s")
    state = desk.ledger.core.state
    listed = heard.not_heard_list(state, state.ladders[desk.last["broadcast"]])
    assert [(one.device, one.reason, one.routes) for one in listed.not_heard] == [
        ("p-01", "incident-open", [])
    ]
    assert not [task for task in state.tasks.values() if task.item == listed.item]
