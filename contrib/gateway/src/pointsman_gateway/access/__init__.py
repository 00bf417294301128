"""Who may ask: keys, tokens, sessions, places; for what, and how often."""
