"""Keys of callers that are kept in a store: made, shown once, scoped, rotated, revoked."""
