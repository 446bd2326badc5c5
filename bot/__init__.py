"""The bot: models, adapters, store, watching, notifications; `bot.app` joins them."""
