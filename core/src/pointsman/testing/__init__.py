"""What pointsman and its plugins are tested with, for others too.

The contracts that plugins inherit stand in `pointsman.testing.contract`, which needs pytest and hypothesis;
nothing here does.

The names are imported when they are first used: the plugin of pytest stands here as well, and everybody who
has pointsman loads it in every run of pytest.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "pointsman.build.contexts": "Contexts",
    "pointsman.testing.canaries": "Canaries",
    "pointsman.testing.clock": "SystemClock",
    "pointsman.testing.factories": "data_factory installed_factory",
    "pointsman.testing.faults": "Fault FaultUpstream Frames",
    "pointsman.testing.loop": "VirtualLoop run",
    "pointsman.testing.replay": """
        CannedReply ReplayTransport ReplyBody call_for client_for context_for events_of provider_for
    """,
    "pointsman.testing.scripted": "Scripted ScriptedAnswer",
    "pointsman.testing.shuffle": "ShuffleLoop explore seeded",
    "pointsman.testing.surface_host": "AskedCall Served SurfaceHost",
}
"""The names, by the module that they are imported from when they are first used."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'pointsman.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
