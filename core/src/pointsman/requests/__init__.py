"""What callers hand in, made into our values."""
