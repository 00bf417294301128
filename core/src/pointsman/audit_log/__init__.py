"""The audit log in files: records that are chained, written in groups, recovered after a crash, verified."""
