"""Commands that choose what a channel or a person is notified about."""
