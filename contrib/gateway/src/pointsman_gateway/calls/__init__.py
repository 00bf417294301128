"""Calls: from what surfaces understood to the router and back, and what is known of those that run."""
