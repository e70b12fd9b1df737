"""The watch: rule language, vectorised rules core, alert life cycle, escalation, messages."""
