"""The plain API, for programs that want no vendor's shape: JSON, server-sent events, a WebSocket."""

from pointsman_gateway.surfaces.ai.surface import FACTORY, AiSurface

__all__ = ["FACTORY", "AiSurface"]
