"""Every field of the documented answers, from a signed slash command to what a person reads, against recording servers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tests.e2e.document_servers import Servers
from tests.e2e.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDrive:
    """A command, the request it sends (a pattern), and all the words that a person must read; `hides` what nobody may."""

    says: str
    asks: str = ""
    sees: tuple[str, ...]
    hides: tuple[str, ...] = ()


DRIVES: Mapping[str, tuple[FieldDrive, ...]] = {
    "buildkite": (
        FieldDrive(
            says="show bk7:ferry#7 --all",
            asks=r"GET .*/builds/7\?exclude_jobs",
            sees=(
                *(
                    "Cancelled",
                    "superseded by the evening build",
                    "Oil the winch",
                    "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
                ),
                *("winch", "!42", "harbour", "Aksel Lund", "aksel@quay.example", "Kaia Holm", "kaia@quay.example"),
                *("webhook", "2026-07-30 08:00:05 UTC", "Rebuilt from  6", "github.com/aksel/ferry", "8 m 00 s"),
                *("0198f2aa-1111-4222-8333-abcdefabcde1", "0198f2aa-9999-4222-8333-abcdefabcde9", "2026-07-30 08:09"),
            ),
            hides=("hidden-in-env", "hidden-in-meta-data"),
        ),
        FieldDrive(
            says="show bk7:ferry#7",
            sees=("CANCELLED", "superseded by the evening build", "Oil the winch", "Aksel Lund"),
        ),
        FieldDrive(says="show 0198f2aa-1111-4222-8333-abcdefabcde1", asks="GET .*/quay/builds", sees=("Ferry #7",)),
        FieldDrive(
            says="jobs bk7:ferry#7 --all",
            asks="GET .*/builds/7/jobs",
            sees=(
                *(
                    "Hull tests",
                    "deck=upper, 2 of 4",
                    "deep-checks",
                    "key hull",
                    "5 m 00 s",
                    "waited 30 s",
                    "on crane-9",
                ),
                *("allowed to fail", "attempt 3", "exit status 3", "make hull", "reports/*.xml", "crane.quay.example"),
                *("queue=dock", "2026-07-30 08:00:11 UTC", "retry automatic", "0198f2bb-2222-4222-8333-abcdefabcde2"),
            ),
        ),
        FieldDrive(
            says="jobs bk7:ferry#7 --all-attempts",
            asks="GET .*include_retried_jobs=true",
            sees=("1 run again since", "run again since, as 0198f2bb"),
        ),
        FieldDrive(
            says="logs bk7:ferry#7 --job 0198f2bb-2222-4222-8333-abcdefabcde2",
            asks="GET .*/jobs/0198f2bb-2222-4222-8333-abcdefabcde2/log",
            sees=("log of 0198f2bb-2222-4222-8333-abcdefabcde2",),
        ),
        FieldDrive(
            says="list builds bk7:ferry --state creating,scheduled,failing,canceling,canceled,not_run --branch harbour"
            " --commit a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            asks=r"(?=.*state\[\]=creating)(?=.*state\[\]=not_run)(?=.*branch=harbour)(?=.*commit=a1b2c3d4e5f60718)GET ",
            sees=("Ferry has no such builds",),
        ),
        FieldDrive(says="list builds bk7:ferry --state paused", sees=("Ferry has no such builds",)),
        FieldDrive(
            says="cancel bk7:ferry#8 --yes",
            asks="PUT .*/builds/8/cancel",
            sees=("The tide is out: it could not be canceled",),
        ),
        FieldDrive(says="run bk7:ferry@sunk", asks="POST .*/ferry/builds", sees=("branch", "missing")),
    ),
    "gitlab_v3": (
        FieldDrive(
            says="show old7:quay/ferry#31 --all",
            asks="GET .*/projects/31/builds/31$",
            sees=(
                *(
                    "rivets",
                    "rig",
                    "harbour",
                    "Failed",
                    "87.25 %",
                    "dry-dock-2",
                    "rivets.zip (4,096 bytes)",
                    "liv",
                    "Liv Strand",
                ),
                *("b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f80", "Count the rivets", "Odd Berg", "odd@quay.example"),
                *("2016-03-01 09:58:07 UTC", "2016-03-01 10:05", "2016-03-01 10:09", "Number  31"),
            ),
        ),
        FieldDrive(
            says="show old7:quay/ferry#31", sees=("job rivets", "stage rig", "coverage 87.25 %", "runner dry-dock-2")
        ),
        FieldDrive(
            says="show old7:quay/ferry#30 --all", sees=("Tag  v2.0",), hides=("Branch", "dry-dock-2", "rivets.zip")
        ),
        FieldDrive(says="jobs old7:quay/ferry#31", sees=("rivets", "rig", "on dry-dock-2")),
        FieldDrive(says="artifacts old7:quay/ferry#31", sees=("rivets.zip", "4.1 kB")),
        FieldDrive(says="artifacts old7:quay/ferry#30", sees=("This build has none",)),
        FieldDrive(
            says="artifacts old7:quay/ferry#31 --upload",
            asks="GET .*/projects/31/builds/31/artifacts",
            sees=("",),
        ),
        FieldDrive(
            says="cancel old7:quay/ferry#32 --yes", asks="POST .*/builds/32/cancel$", sees=("stopped ferry #32",)
        ),
        FieldDrive(
            says="list builds old7:quay/ferry --state pending,running,failed,success,canceled",
            asks=r"(?=.*scope\[\]=pending)(?=.*scope\[\]=running)(?=.*scope\[\]=success)(?=.*scope\[\]=canceled)GET ",
            sees=("rivets",),
        ),
    ),
    "truto": (
        FieldDrive(
            says="list builds tr7:ferry -n 25",
            asks="GET .*next_cursor=two",
            sees=("#77", "#76", "Timed out"),
        ),
        FieldDrive(
            says="show tr7:ferry#77 --all",
            asks=r"GET .*/unified/ci-cd/builds/900001\?",
            sees=(
                *(
                    "900001",
                    "Number  77",
                    "Attempt  3",
                    "Timed out",
                    "harbour",
                    "c9d8e7f6a5b4c3d2e1f00918273645546372819a",
                ),
                *(
                    "Sea trial",
                    "5550001",
                    "run-77",
                    "tide_turned",
                    "njord",
                    "sailor",
                    "2026-07-30 09:01",
                    "2026-07-30 09:21",
                ),
            ),
        ),
        FieldDrive(
            says="list builds tr7:ferry --option status=weird --option conclusion=success --option truto_ignore_remote_data=true"
            " --option truto_response_format=normalized --option repo=ferry --option started_at=2026-07-01",
            asks=r"(?=.*status=weird)(?=.*conclusion=success)(?=.*truto_ignore_remote_data=true)(?=.*repo=ferry)"
            r"(?=.*truto_response_format=normalized)(?=.*started_at=2026-07-01)(?=.*owner=quay)(?=.*repo_id=ferry)GET ",
            sees=("#77",),
        ),
        FieldDrive(
            says="list builds tr7:ferry --option truto_exclude_fields=repo --option truto_exclude_fields=name",
            asks=r"(?=.*truto_exclude_fields\[\]=repo)(?=.*truto_exclude_fields\[\]=name)GET ",
            sees=("#77",),
        ),
    ),
    "xcode_cloud": (
        FieldDrive(
            says="show xc7:Slipway --id 0198f2cc-1111-4222-8333-abcdefabcde1 --all",
            asks=r"GET .*/v1/ciBuildRuns/0198f2cc-1111-4222-8333-abcdefabcde1",
            sees=(
                *("Number  19", "Slipway", "Cancelled", "cancelled by a newer build", "!11", "mast", "harbour"),
                *("d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f70819283", "Paint the mast", "Ingrid Vik", "Harbour Bot"),
                *(
                    "e1f2a3b4",
                    "Tie up",
                    "Leif Dahl",
                    "pull request update",
                    "6 warnings, 4 analyzer warnings",
                    "10 m 00 s",
                ),
            ),
        ),
        FieldDrive(
            says="show 0198f2cc-1111-4222-8333-abcdefabcde1",
            sees=("CANCELLED", "by a newer build", "mast", "6 warnings"),
        ),
        FieldDrive(says="list builds xc7:Slipway --state canceled", sees=("Slipway #19",)),
    ),
}


def holding(stage: Stage, before: Mapping[str, str], words: tuple[str, ...]) -> list[str]:
    """Return the messages that came or changed since a snapshot and hold all of some words."""
    return [text for text in stage.fresh(before) if all(part in text for part in words)]


async def test_each_field_is_read_from_a_typed_command(recorded: Stage) -> None:
    for drive in (drive for drives in DRIVES.values() for drive in drives):
        requests, before = len(recorded.requests), recorded.snapshot()
        await recorded.says(drive.says)
        shows = partial(holding, recorded, before, drive.sees)
        (shown, *_) = await recorded.until(shows, f"`{drive.says}` shows {drive.sees}")
        assert not [words for words in drive.hides if words in shown], drive.says
        sent = recorded.requests[requests:]
        assert not drive.asks or any(re.match(drive.asks, request) for request in sent), (drive.says, sent)


async def test_each_token_goes_where_its_system_takes_it(recorded: Stage, servers: Servers) -> None:
    for name, command in (
        ("bk7", "list builds bk7"),
        ("old7", "list builds old7:quay/ferry"),
        ("tr7", "list builds tr7"),
    ):
        before = recorded.snapshot()
        await recorded.says(command)
        await recorded.until(partial(holding, recorded, before, ("#",)), command)
        assert servers[name][0].sent
    headers = {name: server.sent[-1].headers for name, (server, _options) in servers.items() if server.sent}
    assert headers["bk7"]["authorization"] == "Bearer t-bk"
    assert headers["old7"]["private-token"] == "t-gl"
    assert headers["tr7"]["authorization"] == "Bearer t-tr"
    assert dict(servers["tr7"][0].sent[-1].query)["integrated_account_id"] == "account-7"
