"""State machines without clocks or I/O, each of which knows nothing of the router."""
