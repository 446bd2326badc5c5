"""The store: `Store` is the only door to the database."""
