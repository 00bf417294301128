"""Try a change before making it: a router in virtual time, against models of its upstreams."""

from pointsman_forecast.plugin import ForecastPlugin

__all__ = ["ForecastPlugin", "plugin"]

plugin = ForecastPlugin()
