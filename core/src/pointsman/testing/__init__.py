"""What pointsman and its plugins are tested with, for others too.

The contracts that plugins inherit stand in `pointsman.testing.contract`, which needs pytest and hypothesis;
nothing here does.
"""

from pointsman.build.contexts import Contexts
from pointsman.testing.clock import SystemClock
from pointsman.testing.faults import Fault, FaultUpstream, Frames
from pointsman.testing.loop import VirtualLoop, run
from pointsman.testing.replay import (
    CannedReply,
    ReplayTransport,
    ReplyBody,
    call_for,
    client_for,
    context_for,
    events_of,
    provider_for,
)
from pointsman.testing.scripted import Scripted, ScriptedAnswer
from pointsman.testing.shuffle import ShuffleLoop, explore, seeded

__all__ = [
    "CannedReply",
    "Contexts",
    "Fault",
    "FaultUpstream",
    "Frames",
    "ReplayTransport",
    "ReplyBody",
    "Scripted",
    "ScriptedAnswer",
    "ShuffleLoop",
    "SystemClock",
    "VirtualLoop",
    "call_for",
    "client_for",
    "context_for",
    "events_of",
    "explore",
    "provider_for",
    "run",
    "seeded",
]
