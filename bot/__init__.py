"""The bot: models, adapters, store, watching, notices; `bot.app` joins them."""
