"""Copies of requests that go to another model as well, to compare the two."""
