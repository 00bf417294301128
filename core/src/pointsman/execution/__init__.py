"""One request's way through its attempts."""
