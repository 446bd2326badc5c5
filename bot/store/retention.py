"""How long what is kept is kept."""

from datetime import timedelta

KEEP_DAYS = 180
"""Builds, notifications, the audit."""

BUDGETS = timedelta(days=1)
CLAIMS = timedelta(days=7)
INBOX = timedelta(days=2)
"""Closed rows: Slack delivers late events for a day."""

LAST_VALUES = timedelta(days=30)
WATCHES = timedelta(days=30)
"""Watches of builds of which nothing more was seen."""
