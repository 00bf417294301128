"""The models that callers can ask for, and what operators do with them."""
