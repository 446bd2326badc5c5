"""Who hears about a build, and why or why not: pure decisions, and the rows that say so."""

from bot.notices.deciding import (
    Release,
    decide,
    gathered,
    outage_row,
    past,
    reconsidered,
    release,
    started_row,
    summary_row,
    transition_of,
)
from bot.notices.filters import EVENTS, PRESETS, Filter, filter_of, judge, make_filter, read_filter
from bot.notices.notice import AUTHOR, Decision, Event, Extra, Verdict
from bot.notices.quiet import check_hours, in_quiet_hours, muted, zone_of

__all__ = [
    "AUTHOR", "EVENTS", "PRESETS", "Decision", "Event", "Extra", "Filter", "Release", "Verdict", "check_hours",
    "decide", "filter_of", "gathered", "in_quiet_hours", "judge", "make_filter", "muted", "outage_row", "past", "read_filter",
    "reconsidered", "release", "started_row", "summary_row", "transition_of", "zone_of",
]  # fmt: skip
