"""Outgoing HTTP: the API client of the providers, its transport, and which addresses may be reached."""
