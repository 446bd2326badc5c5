"""A local Slack and local CI systems for `buildbell demo`; knows nothing of the rest of the house."""
