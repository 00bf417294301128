"""The gateway as a process."""
