"""Sealed secrets and the one redactor."""
