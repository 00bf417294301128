"""Plugins: found, imported when named, checked."""
