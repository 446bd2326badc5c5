"""Decides which build changes are posted where, and delivers them once."""
