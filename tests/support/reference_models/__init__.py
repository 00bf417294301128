"""What the state machines should do, written from their definitions and not from their code."""
