"""What the core needs for itself: JSON, time limits, log lines, and the like."""
