"""What operators can ask of a running gateway: its state, its requests, what happens, and changes."""
