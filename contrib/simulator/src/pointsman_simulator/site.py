"""The state of one simulated server that its management routes see and change."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pointsman_simulator.vram import Loaded


@dataclass(slots=True)
class Job:
    """A download at a LocalAI server; it moves on with each look at it."""

    model: str
    looks: int = 0


@dataclass(slots=True)
class Site:
    """What there is at one upstream.

    Attributes:
        models: the installed models, in order.
        capabilities: what Ollama says that each model can do.
        lenient: an OpenAI server that ignores fields it does not know, as compatible servers do.
        ready: False makes LocalAI's /readyz answer 503.
        api_key, further_keys: where there is the first, one of these is demanded; both may change.
        jobs: LocalAI's downloads by uuid.
        pull_s: seconds that a download at an Ollama server takes.
        loaded, unload: the models in memory, with seconds left (infinite: for ever).
    """

    name: str
    models: dict[str, None]
    api_key: str | None = None
    further_keys: set[str] = field(default_factory=set)
    capabilities: tuple[str, ...] = ("completion", "tools", "thinking", "embedding")
    lenient: bool = False
    ready: bool = True
    origin: str = ""
    pull_s: float = 0.0
    jobs: dict[str, Job] = field(default_factory=dict)
    loaded: Callable[[], list[Loaded]] = list
    unload: Callable[[str], None] = lambda _: None

    def takes(self, key: str | None) -> bool:
        """Whether a request with that key is let in."""
        return self.api_key is None or key == self.api_key or key in self.further_keys
