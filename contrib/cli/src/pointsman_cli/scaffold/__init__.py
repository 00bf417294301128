"""`pointsman plugins new`: what a distribution with one plugin begins with."""
