"""Commands that set up links, connections, people and access."""
