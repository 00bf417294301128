"""Several upstreams in one process."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pointsman_simulator.script import Reply
from pointsman_simulator.site import Site
from pointsman_simulator.upstream import Upstream
from pointsman_simulator.vram import Vram
from pointsman_simulator.wires import WIRES


class Simulator:
    """Starts upstreams and stops them all at the end of the `async with`.

    The same seed, upstream names and requests give the same bodies, byte for byte; only the `expires_at` of
    /api/ps follows the real clock.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed
        self.upstreams: dict[str, Upstream] = {}

    async def add(
        self,
        wire: str,
        *,
        name: str | None = None,
        models: Sequence[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float | tuple[float, float] | None = None,
        tokens_per_second: float | None = None,
        api_key: str | None = None,
        vram: Vram | None = None,
        default: Reply | None = None,
        capabilities: Sequence[str] | None = None,
        lenient: bool = False,
    ) -> Upstream:
        """A new upstream that listens on `host`.

        Args:
            wire: "ollama", "openai", "claude" or "localai".
            name: unique; by default the wire and a number.
            models: the installed ones; None gives the wire's usual one.
            host: an address of this machine, such as 127.0.0.2.
            port: 0 takes a free one.
            latency, tokens_per_second: for replies that do not say their own; see `Reply`.
            api_key: demanded in the wire's way when given.
            vram: the memory model (Ollama and LocalAI); None: everything is always loaded.
            default: what an unscripted request gets.
            capabilities: of the models at an Ollama server; a request for more is refused.
            lenient: an OpenAI server that ignores unknown fields instead of refusing them.

        Raises: ValueError for an unknown wire or a name that is taken; OSError when the port is.
        """
        api = WIRES.get(wire)
        if api is None:
            raise ValueError(f"no wire {wire!r}; there are {', '.join(sorted(WIRES))}")
        name = name or f"{wire}{len(self.upstreams) + 1}"
        if name in self.upstreams:
            raise ValueError(f"there is an upstream named {name!r} already")
        site = Site(
            name, dict.fromkeys(api.default_models if models is None else models), api_key, lenient=lenient
        )
        if capabilities is not None:
            site.capabilities = tuple(capabilities)
        upstream = Upstream(
            api,
            site,
            seed=self.seed,
            host=host,
            port=port,
            default=default or Reply(),
            latency=latency,
            tokens_per_second=tokens_per_second,
            vram=vram,
        )
        await upstream.start()
        self.upstreams[name] = upstream
        return upstream

    async def stop(self) -> None:
        """Stops all upstreams."""
        for upstream in self.upstreams.values():
            await upstream.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
