"""Limits and openings that several pointsman routers share through Redis."""
