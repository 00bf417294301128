"""The router behind an HTTP address, for programs in any language."""
