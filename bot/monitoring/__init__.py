"""Polls the providers and records what changed."""
