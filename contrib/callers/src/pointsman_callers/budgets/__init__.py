"""Budgets: what callers may use in a time, held before a call and settled after it."""
