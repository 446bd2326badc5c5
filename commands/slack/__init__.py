"""The Bolt app: listeners for commands, actions, views, shortcuts and events."""
