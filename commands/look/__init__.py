"""Commands that read: status, lists, logs, tests, issues, artifacts, statistics."""
