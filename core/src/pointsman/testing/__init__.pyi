from pointsman.build.contexts import Contexts as Contexts
from pointsman.testing.clock import SystemClock as SystemClock
from pointsman.testing.factories import (
    data_factory as data_factory,
)
from pointsman.testing.factories import (
    installed_factory as installed_factory,
)
from pointsman.testing.faults import Fault as Fault
from pointsman.testing.faults import FaultUpstream as FaultUpstream
from pointsman.testing.faults import Frames as Frames
from pointsman.testing.loop import VirtualLoop as VirtualLoop
from pointsman.testing.loop import run as run
from pointsman.testing.replay import CannedReply as CannedReply
from pointsman.testing.replay import ReplayTransport as ReplayTransport
from pointsman.testing.replay import ReplyBody as ReplyBody
from pointsman.testing.replay import call_for as call_for
from pointsman.testing.replay import client_for as client_for
from pointsman.testing.replay import context_for as context_for
from pointsman.testing.replay import events_of as events_of
from pointsman.testing.replay import provider_for as provider_for
from pointsman.testing.scripted import Scripted as Scripted
from pointsman.testing.scripted import ScriptedAnswer as ScriptedAnswer
from pointsman.testing.shuffle import ShuffleLoop as ShuffleLoop
from pointsman.testing.shuffle import explore as explore
from pointsman.testing.shuffle import seeded as seeded
from pointsman.testing.surface_host import AskedCall as AskedCall
from pointsman.testing.surface_host import Served as Served
from pointsman.testing.surface_host import SurfaceHost as SurfaceHost

__all__ = [
    "AskedCall",
    "CannedReply",
    "Contexts",
    "Fault",
    "FaultUpstream",
    "Frames",
    "ReplayTransport",
    "ReplyBody",
    "Scripted",
    "ScriptedAnswer",
    "Served",
    "ShuffleLoop",
    "SurfaceHost",
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
