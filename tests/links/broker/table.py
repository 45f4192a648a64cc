"""Identity, action and topic: who may do what. One table for the pure rule and for both brokers."""

from tests.links.broker.harness import ROOT

D = f"{ROOT}/d"
G = f"{ROOT}/g"

# (user, topic, may publish)
PUBLISH = [
    ("pillar-1", f"{D}/pillar-1/up/alarm", True),
    ("pillar-1", f"{D}/pillar-1/up/state/more", True),
    ("pillar-1", f"{D}/pillar-1/presence", True),
    ("pillar-1", f"{D}/pillar-1/up/voice", True),
    ("pillar-1", f"{D}/terminal-1/up/voice", False),
    ("pillar-1", f"{D}/terminal-1/down/voice", False),
    ("terminal-1", f"{G}/tg-1/voice", False),
    ("pillar-1", f"{D}/pillar-1/presence/more", False),
    ("pillar-1", f"{D}/pillar-1/down/call", False),
    ("pillar-1", f"{D}/pillar-1", False),
    ("pillar-1", f"{D}/pillar-1/upward", False),
    ("pillar-1", f"{D}/pillar-1x/up/alarm", False),
    ("pillar-1", f"{D}/terminal-1/up/alarm", False),
    ("pillar-1", f"{D}/terminal-1/presence", False),
    ("pillar-1", f"{D}/terminal-1/down/call", False),
    ("pillar-1", f"{G}/tg-1/down/voice", False),
    ("pillar-1", f"{ROOT}/w/worker-1/up/box", False),
    ("pillar-1", f"{ROOT}/x", False),
    ("terminal-1", f"{D}/terminal-1/up/answer", True),
    ("terminal-1", f"{D}/pillar-1/up/alarm", False),
    ("terminal-1", f"{G}/tg-1/down/voice", False),
    ("terminal-1", f"{G}/tg-1/up/voice", False),
    ("dispatchd", f"{D}/pillar-1/down/receipt", True),
    ("dispatchd", f"{D}/pillar-1/up/alarm", True),
    ("dispatchd", f"{G}/tg-1/down/voice", True),
    ("dispatchd", f"{G}/tg-1/voice", True),
    ("dispatchd", f"{D}/pillar-1/down/voice", True),
    ("dispatchd", f"{ROOT}/w/worker-1/down/aim", True),
]

# (user, filter subscribed to, topic published by the daemon, may hear it)
RECEIVE = [
    ("pillar-1", f"{D}/pillar-1/down/#", f"{D}/pillar-1/down/receipt", True),
    ("pillar-1", f"{D}/pillar-1/down/+", f"{D}/pillar-1/down/lamp", True),
    ("pillar-1", f"{D}/pillar-1/down/a/b", f"{D}/pillar-1/down/a/b", True),
    ("pillar-1", f"{D}/pillar-1/up/#", f"{D}/pillar-1/up/alarm", False),
    ("pillar-1", f"{D}/pillar-1/presence", f"{D}/pillar-1/presence", False),
    ("pillar-1", f"{D}/terminal-1/down/#", f"{D}/terminal-1/down/call", False),
    ("pillar-1", f"{D}/terminal-1/presence", f"{D}/terminal-1/presence", False),
    ("pillar-1", f"{D}/+/down/#", f"{D}/terminal-1/down/call", False),
    ("pillar-1", f"{G}/tg-1/down/#", f"{G}/tg-1/down/voice", False),
    ("pillar-1", f"{ROOT}/#", f"{D}/terminal-2/down/call", False),
    ("pillar-1", "#", f"{D}/terminal-2/down/call", False),
    ("pillar-1", "+/+/+/+/+/+", f"{D}/terminal-2/down/call", False),
    ("terminal-1", f"{D}/terminal-1/down/#", f"{D}/terminal-1/down/call", True),
    ("terminal-1", f"{G}/tg-1/down/#", f"{G}/tg-1/down/voice", True),
    ("terminal-1", f"{G}/tg-1/voice", f"{G}/tg-1/voice", True),
    ("terminal-1", f"{D}/terminal-1/down/#", f"{D}/terminal-1/down/voice", True),
    ("terminal-1", f"{G}/tg-2/voice", f"{G}/tg-2/voice", False),
    ("terminal-1", f"{G}/+/voice", f"{G}/tg-2/voice", False),
    ("terminal-1", f"{G}/tg-1/voice/#", f"{G}/tg-1/voice/more", False),
    ("terminal-2", f"{G}/tg-1/voice", f"{G}/tg-1/voice", False),
    ("pillar-1", f"{D}/+/down/voice", f"{D}/terminal-1/down/voice", False),
    ("terminal-1", f"{G}/tg-1/up/#", f"{G}/tg-1/up/voice", False),
    ("terminal-1", f"{G}/+/down/#", f"{G}/tg-2/down/voice", False),
    ("terminal-1", f"{G}/tg-2/down/#", f"{G}/tg-2/down/voice", False),
    ("terminal-1", f"{G}/tg-11/down/#", f"{G}/tg-11/down/voice", False),
    ("terminal-2", f"{G}/tg-1/down/#", f"{G}/tg-1/down/voice", False),
]
