"""What a router shares with others through a state store, and what holds while that is away."""
