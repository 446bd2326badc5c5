"""Slack itself: sending, installations, people."""
