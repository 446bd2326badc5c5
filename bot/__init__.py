"""The bot: models, adapters, store, watching, notifications; `bot.app` joins them."""

import gc

# Most of what the process makes stays (classes, at the start) or is freed by its reference count (requests). With
# Python's usual threshold of 700 objects the collector takes a fifth of the start, and finds nothing.
gc.set_threshold(10_000, 20, 50)
