"""What the fake bot of the page's tests says: a card, a form, a home, choices: one of everything the page draws."""

import httpx
from playwright.async_api import Page
from starlette.responses import Response

from playground import Playground
from tests.playground.fake_bot import FakeBot, Json, actions, button, field, modal, option, section

PNG = "data:image/png;base64,iVBORw0KGgo="


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def confirm(title: str, text: str) -> Json:
    return {
        "title": plain(title),
        "text": plain(text),
        "confirm": plain("Cancel it"),
        "deny": plain("Keep it"),
        "style": "danger",
    }


def card(word: str, color: str) -> Json:
    """A failed build the way the bot's cards look."""
    return {
        "text": f":x: *{word}* web / Deploy #412",
        "attachments": [
            {
                "color": color,
                "blocks": [
                    section(
                        f":x: *{word}*  <http://127.0.0.1/ci/1|web / Deploy #412>  ·  `main`\nNewly broken, green for 9 builds"
                    ),
                    section(
                        "`a1b2c3d`  Cache the token &lt;between&gt; launches  ·  <@U0MIKASATO>  ·  push\n"
                        "*2 errors (+2)*   14 warnings (+1)   3 of 812 tests failed (+3)"
                    ),
                    {
                        "type": "context",
                        "elements": [
                            {"type": "mrkdwn", "text": "12 m 03 s (usually 9 m) · Buildkite · <!date^1770000000^{date_short_pretty} {time}|then>"}
                        ],
                    },
                    actions(
                        button("build.logs", "Logs", value="logs #412"),
                        button("build.retry", "Retry failed", style="primary", value="retry #412"),
                        button("build.cancel", "Cancel", style="danger", value="cancel #412", confirm=confirm("Cancel #412?", "Two jobs still run.")),
                        {"type": "static_select", "action_id": "build.say", "placeholder": plain("Tell me of"), "options": [option("Everything", "all"), option("Failures", "failures")]},
                        {"type": "overflow", "action_id": "build.more", "options": [option("Rebuild", "rebuild #412"), option("Mute 2 h", "mute 2h")]},
                    ),
                ],
            }
        ],
    }  # fmt: skip


def chart() -> Json:
    days = ["Mon", "Tue", "Wed", "Thu", "Fri"]
    return {
        "type": "data_visualization",
        "title": "Build time in minutes",
        "chart": {
            "type": "line",
            "series": [{"name": "main", "data": [{"label": day, "value": 9 + at} for at, day in enumerate(days)]}],
            "axis_config": {"categories": days, "x_label": "Day", "y_label": "Minutes"},
        },
    }


def table() -> Json:
    def cells(*words: str) -> list[Json]:
        return [{"type": "raw_text", "text": word} for word in words]

    return {
        "type": "table",
        "rows": [
            cells("Job", "Result", "Time"),
            cells("Lint", "Passed", "41 s"),
            cells("Unit tests", "Failed", "6 m 10 s"),
        ],
    }


def data_table(rows: int) -> Json:
    head = [{"type": "raw_text", "text": "Pipeline"}, {"type": "raw_text", "text": "Failures"}]
    body = [
        [{"type": "raw_text", "text": f"Line {at:02}"}, {"type": "raw_number", "value": (at * 7) % rows}]
        for at in range(rows)
    ]
    return {"type": "data_table", "caption": "Failures in a week", "rows": [head, *body]}


def pie() -> Json:
    segments = [{"label": "Passed", "value": 30}, {"label": "Failed", "value": 10}]
    return {"type": "data_visualization", "title": "Results", "chart": {"type": "pie", "segments": segments}}


def bars() -> Json:
    days = ["Mon", "Tue"]
    series = [
        {"name": name, "data": [{"label": day, "value": at + value} for at, day in enumerate(days)]}
        for name, value in (("web", 4), ("deploy", 9))
    ]
    return {
        "type": "data_visualization",
        "title": "Builds a day",
        "chart": {"type": "bar", "series": series, "axis_config": {"categories": days}},
    }


def log_block(lines: int) -> Json:
    text = "".join(f"[{at}/{lines}] src/checkout/basket.ts\n" for at in range(lines))
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}],
    }


def home() -> Json:
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": plain("Your builds")},
            section("*ios-app / Nightly*  :white_check_mark: Passed, 14 warnings", accessory=button("home.run", "Run", value="run nightly")),
            {"type": "divider"},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "Nothing waits for your approval."}]},
        ],
    }  # fmt: skip


def run_form() -> Json:
    return modal(
        field("pipeline", "Pipeline", {"type": "external_select", "action_id": "pick", "min_query_length": 0, "placeholder": plain("Search pipelines")}, dispatch_action=True),
        field("branch", "Branch", {"type": "plain_text_input", "action_id": "text", "placeholder": plain("main")}, hint=plain("Any branch, tag or commit")),
        field("jobs", "Jobs", {"type": "checkboxes", "action_id": "boxes", "options": [option("Unit tests", "unit"), option("Interface tests", "ui")]}, optional=True),
        field("mode", "Mode", {"type": "radio_buttons", "action_id": "radio", "initial_option": option("Clean", "clean"), "options": [option("Clean", "clean"), option("Incremental", "inc")]}),
        field("labels", "Labels", {"type": "multi_static_select", "action_id": "many", "options": [option("beta", "beta"), option("hotfix", "hotfix"), option("nightly", "nightly")]}, optional=True),
        field("who", "Tell", {"type": "multi_users_select", "action_id": "users"}, optional=True),
        field("where", "Post in", {"type": "conversations_select", "action_id": "channel"}, optional=True),
        callback_id="run", title=plain("Start a build"), submit=plain("Start"), private_metadata="key",
    )  # fmt: skip


class StageBot(FakeBot):
    """The fake bot with something to say; it calls the local Slack's Web API like the real one."""

    def __init__(self) -> None:
        super().__init__()
        self.playground: Playground | None = None
        self.client = httpx.AsyncClient(trust_env=False)
        self.on("command", self.command)
        self.on("block_actions", self.pressed)
        self.on("block_suggestion", self.offered)
        self.on("view_submission", self.submitted)
        self.on("app_home_opened", self.opened)
        self.on("app_mention", self.mentioned)
        self.on("shortcut", self.shortcut)
        self.on("message_action", self.on_message)
        self.on("link_shared", self.shared)

    async def api(self, method: str, **args: object) -> Json:
        assert self.playground is not None
        headers = {"Authorization": "Bearer xoxb-playground"}
        answer = await self.client.post(f"{self.playground.slack_api_url}{method}", json=args, headers=headers)
        found: Json = answer.json()
        assert found["ok"], (method, found)
        return found

    async def command(self, payload: Json) -> Json | str | Response | None:
        channel = payload["channel_id"]
        match payload["text"].split():
            case ["card"]:
                await self.api("chat.postMessage", channel=channel, **card("Failed", "#C4314B"))
                return None
            case ["form"]:
                await self.api("views.open", trigger_id=payload["trigger_id"], view=run_form())
                return None
            case ["chart"]:
                await self.api(
                    "chat.postMessage", channel=channel, text="Trend", blocks=[section("*Trend*"), chart(), table()]
                )
                return None
            case ["broken"]:
                return Response(status_code=500)
            case ["menu"]:
                pick = {
                    "type": "external_select",
                    "action_id": "pick",
                    "min_query_length": 1,
                    "placeholder": plain("Find a pipeline"),
                }
                return {"text": "Which one?", "blocks": [section("Which pipeline?", accessory=pick)]}
            case _:
                return f"You typed `{payload['text']}`, <@{payload['user_id']}>."

    async def pressed(self, payload: Json) -> None:
        act = payload["actions"][0]
        if payload["container"]["type"] == "view":
            if act["action_id"] == "home.run":
                await self.api("views.open", trigger_id=payload["trigger_id"], view=run_form())
            if act["action_id"] == "pick":
                view = run_form()
                view["blocks"].insert(1, section(f"Last run of *{act['selected_option']['text']['text']}*: passed"))
                await self.api("views.update", view_id=payload["view"]["id"], view=view)
            return
        said = act.get("value") or act.get("selected_option", {}).get("value")
        await self.client.post(payload["response_url"], json={"text": f"Pressed {act['action_id']} {said}"})

    async def offered(self, payload: Json) -> Json:
        names = ["web / Deploy", "web / Tests", "ios-app / Nightly"]
        return {"options": [option(name, name) for name in names if payload["value"].lower() in name.lower()]}

    async def submitted(self, payload: Json) -> Json | None:
        values = payload["view"]["state"]["values"]
        if payload["view"]["callback_id"] == "sure":
            return {"response_action": "clear"}
        if values["branch"]["text"]["value"] == "realease":
            return {"response_action": "errors", "errors": {"branch": "No branch realease. Closest: release."}}
        sure = modal(section("Really start it on *production*?"), callback_id="sure", title=plain("Are you sure?"))
        return {"response_action": "push", "view": sure}

    async def opened(self, payload: Json) -> None:
        if payload["event"]["tab"] == "home":
            await self.api("views.publish", user_id=payload["event"]["user"], view=home())

    async def mentioned(self, payload: Json) -> None:
        event = payload["event"]
        thread = event.get("thread_ts", event["ts"])
        await self.api(
            "chat.postMessage", channel=event["channel"], thread_ts=thread, text="*Passed* :white_check_mark: 12 m 03 s"
        )

    async def shortcut(self, payload: Json) -> None:
        await self.api("views.open", trigger_id=payload["trigger_id"], view=run_form())

    async def on_message(self, payload: Json) -> None:
        await self.api(
            "chat.postEphemeral",
            channel=payload["channel"]["id"],
            user=payload["user"]["id"],
            text="Retrying that build",
        )

    async def shared(self, payload: Json) -> None:
        event = payload["event"]
        unfurls = {
            link["url"]: {"color": "#1B7F4B", "blocks": [section("*Passed* web / Deploy #411")]}
            for link in event["links"]
        }
        await self.api("chat.unfurl", unfurl_id=event["unfurl_id"], source=event["source"], unfurls=unfurls)


async def say(page: Page, text: str, box: str = "Message #ios") -> None:
    """Type into a composer and send."""
    await page.get_by_role("textbox", name=box).fill(text)
    await page.get_by_role("textbox", name=box).press("Enter")
