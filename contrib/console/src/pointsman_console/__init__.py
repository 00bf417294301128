"""A page in the browser, served by the gateway at `/console`."""

from pointsman_console.plugin import ConsolePlugin

plugin = ConsolePlugin()

__all__ = ["plugin"]
