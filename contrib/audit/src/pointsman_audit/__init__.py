"""Audit records in databases, and what looks at them wherever they are."""

from pointsman_audit.plugin import AuditPlugin

__all__ = ["AuditPlugin", "plugin"]

plugin = AuditPlugin()
