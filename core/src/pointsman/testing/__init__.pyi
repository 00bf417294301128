# Made by `uv run python docs/tools/public_stubs.py`.

from pointsman.build.contexts import (
    Contexts as Contexts,
)
from pointsman.testing.canaries import (
    Canaries as Canaries,
)
from pointsman.testing.clock import (
    SystemClock as SystemClock,
)
from pointsman.testing.factories import (
    data_factory as data_factory,
    installed_factory as installed_factory,
)
from pointsman.testing.faults import (
    Fault as Fault,
    FaultUpstream as FaultUpstream,
    Frames as Frames,
)
from pointsman.testing.loop import (
    VirtualLoop as VirtualLoop,
    run as run,
)
from pointsman.testing.replay import (
    CannedReply as CannedReply,
    ReplayTransport as ReplayTransport,
    ReplyBody as ReplyBody,
    call_for as call_for,
    client_for as client_for,
    context_for as context_for,
    events_of as events_of,
    provider_for as provider_for,
)
from pointsman.testing.scripted import (
    Scripted as Scripted,
    ScriptedAnswer as ScriptedAnswer,
)
from pointsman.testing.shuffle import (
    ShuffleLoop as ShuffleLoop,
    explore as explore,
    seeded as seeded,
)
from pointsman.testing.surface_host import (
    AskedCall as AskedCall,
    Served as Served,
    SurfaceHost as SurfaceHost,
)
