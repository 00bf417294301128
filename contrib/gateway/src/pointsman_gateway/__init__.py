"""The router behind an HTTP address."""

from pointsman_gateway.plugin import GatewayPlugin

__all__ = ["GatewayPlugin", "plugin"]

plugin = GatewayPlugin()
