"""Messages as pure functions: a model in, Block Kit out."""
