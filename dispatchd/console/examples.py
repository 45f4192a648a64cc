"""One example body per command, shown in the OpenAPI document; a test sends each through the parser."""

from typing import Any, Final

from msgspec import Struct

from dispatchd.core import commands as c

_AT: Final = {"incident": "i-1"}
_TEXT: Final = "解放路口有人打架,附近巡逻组请注意"

EXAMPLES: Final[dict[type[Struct], dict[str, Any]]] = {
    c.Accept: _AT,
    c.CallMore: {**_AT, "target": {"patrols": ["p-7"]}},
    c.Ring: _AT,
    c.StandDown: {**_AT, "patrols": ["p-7"]},
    c.SetSilent: {**_AT, "on": True},
    c.SetHazard: {**_AT, "on": True},
    c.Note: {**_AT, "text": "报警人在报警柱旁等候"},
    c.Ask: {**_AT, "text": "您受伤了吗?", "text_en": "Are you hurt?"},
    c.HandOff: {**_AT, "to": "120", "means": "电话", "reference": "A-118"},
    c.ConfirmHandOff: {**_AT, "handoff": "h-1", "reference": "A-118"},
    c.HandOver: {**_AT, "to": "wang"},
    c.End: {**_AT, "outcome": "genuine", "note": "已移交派出所"},
    c.Split: {**_AT, "alarm": "a-2"},
    c.Merge: {**_AT, "into": "i-2"},
    c.Lamp: {"device": "pillar-3", "pattern": "flash", "for_s": 600},
    c.VerifyFirst: {"device": "pillar-3", "reason": "放学后有学生玩耍", "for_s": 3600},
    c.Drill: {"device": "pillar-3"},
    c.Relieve: {"successor": "wang"},
    c.TakeRelief: {"predecessor": "li"},
    c.SignOut: {},
    c.DoneTask: {"task": "t-1"},
    c.BroadcastText: {"text": _TEXT, "target": {"units": ["station-1"]}, "ttl_s": 600},
    c.BroadcastLive: {"target": {"everybody": True}, "text": "分局领导讲话", "priority": "normal"},
    c.EndLive: {"broadcast": "b-1"},
    c.CancelBroadcast: {"broadcast": "b-1"},
    c.Resend: {"item": "b-1"},
    c.SetEntry: {
        "table": "patrol",
        "entry": {"id": "p-7", "name": "七组", "unit": "station-1", "force": "police"},
    },
    c.RemoveEntry: {"table": "patrol", "id": "p-7"},
    c.ApplySite: {"site": {"name": "示范区", "unit": [{"id": "top", "name": "分局"}]}},
    c.SetSecret: {"device": "pillar-3", "secret_hash": "$7$101$c2FsdHNhbHRzYWx0$aGFzaA=="},
    c.SetDuty: {"patrol": "p-7", "on": True},
    c.SetDutyLevel: {"unit": "station-1", "duty_level": "二级"},
    c.ConfirmDevice: {"device": "pillar-3", "in_service": True},
    c.SetConfig: {"device": "pillar-3", "values": {"volume_pct": 80}},
    c.ClearFault: {"fault": "pillar-3-tamper"},
    c.RequestFloor: {"group": "all", "ref": 1, "priority": "normal"},
    c.ReleaseFloor: {"group": "all", "ref": 1},
    c.RevokeFloor: {"group": "all"},
    c.OpenGroup: {"name": "东街搜寻", "target": {"devices": ["t-001", "t-002"]}},
    c.CloseGroup: {"group": "og1-31"},
    c.AddMembers: {"group": "og1-31", "target": {"devices": ["t-003"]}},
    c.RemoveMembers: {"group": "og1-31", "target": {"devices": ["t-002"]}},
    c.PatchGroups: {"groups": ["st-1", "st-2"]},
    c.UnpatchGroup: {"group": "st-2"},
    c.MuteDevice: {"device": "t-004", "on": True},
    c.OpenMicrophone: {"device": "pillar-3", "on": True, "reason": "群众反映"},
    c.TalkBack: {"incident": "i1-7", "on": True},
    c.PatchIn: {"incident": "i1-7", "on": True},
    c.Listened: {"recording": "r3-17", "incident": "i1-7"},
    c.HoldIncident: {"incident": "i1-7", "hold": "case-118", "on": True, "reason": "办案"},
}
