"""The HTTP seam: a client per deployment, answers, frames, streamed events."""
