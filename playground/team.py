"""The people of the playground: users of the local Slack, and authors of commits in the local CI systems."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person. The e-mail address is the same in Slack and in commits, so that the bot can match them.

    `tz_offset` is in seconds east of UTC.
    """

    slack_id: str
    handle: str
    name: str
    email: str
    tz: str
    tz_label: str
    tz_offset: int
    color: str
    is_admin: bool = False
    commits: bool = True


ANA = Member(
    slack_id="U0ANAVIDAL", handle="ana", name="Ana Vidal", email="ana@playground.test", tz="Europe/Madrid",
    tz_label="Central European Time", tz_offset=3600, color="#7a4fb5", is_admin=True,
)  # fmt: skip
MIKA = Member(
    slack_id="U0MIKASATO", handle="mika", name="Mika Sato", email="mika@playground.test", tz="Asia/Tokyo",
    tz_label="Japan Standard Time", tz_offset=32400, color="#1d6fe0",
)  # fmt: skip
BO = Member(
    slack_id="U0BOLINDEN", handle="bo", name="Bo Lindén", email="bo@playground.test", tz="Europe/Stockholm",
    tz_label="Central European Time", tz_offset=3600, color="#b3541e",
)  # fmt: skip
NOOR = Member(
    slack_id="U0NOORKHAN", handle="noor", name="Noor Khan", email="noor@playground.test", tz="America/New_York",
    tz_label="Eastern Time", tz_offset=-18000, color="#1b7f4b", commits=False,
)  # fmt: skip

TEAM = (ANA, MIKA, BO, NOOR)
