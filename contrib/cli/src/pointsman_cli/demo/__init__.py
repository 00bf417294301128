"""`pointsman demo`: simulated upstreams, real HTTP, a real kill, and an account of what happened."""
