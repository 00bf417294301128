"""The transport over httpx."""
