"""Settings of workflows, as they are typed and read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import UsageError
from bot.core.workflow_actions import DESTINATIONS, read_action, read_actions, with_actions, write_action
from bot.core.workflow_values import read_files, read_patterns, write_files, write_patterns
from bot.core.workflow_words import BY_NAME, SETTINGS, apply, differences
from bot.core.workflows import (
    ActionKind,
    ConditionKind,
    FileMatcher,
    FilesRule,
    Patterns,
    Platform,
    StartCondition,
    Timetable,
    Upload,
    UploadState,
    WorkflowAction,
    WorkflowDefinition,
    upload_details,
)

PLAIN = WorkflowDefinition(
    name="Nightly", product="App", actions=(WorkflowAction(kind="TEST", name="T", platform="IOS"),)
)


def changed(definition: WorkflowDefinition = PLAIN, /, **texts: str) -> WorkflowDefinition:
    return apply(definition, texts, zone="Europe/Madrid", is_new=False)


def test_a_condition_keeps_what_its_text_does_not_say() -> None:
    files = FilesRule(is_exclusion=False, matchers=(FileMatcher(directory="Sources", extension="swift"),))
    before = changed(branch="main", branch_files="only Sources/*.swift", branch_cancel="no")
    assert before.conditions[ConditionKind.BRANCH] == StartCondition(
        source=Patterns(names=("main",)), files=files, cancels=False
    )
    after = changed(before, branch="main, release/*")
    assert after.conditions[ConditionKind.BRANCH] == StartCondition(
        source=Patterns(names=("main", "release/*")), files=files, cancels=False
    )
    assert changed(after, branch="off").conditions == {}


@pytest.mark.parametrize(
    ("text", "table", "branches"),
    [
        ("hourly", Timetable(frequency="HOURLY", zone="Europe/Madrid"), ()),
        ("hourly :15 UTC", Timetable(frequency="HOURLY", minute=15), ()),
        ("daily 3:00", Timetable(frequency="DAILY", hour=3, zone="Europe/Madrid"), ()),
        (
            "daily at 23:59 Asia/Tokyo on main",
            Timetable(frequency="DAILY", hour=23, minute=59, zone="Asia/Tokyo"),
            ("main",),
        ),
        (
            "weekly thu,mon 7:30 UTC on main, release/*",
            Timetable(frequency="WEEKLY", days=("MONDAY", "THURSDAY"), hour=7, minute=30),
            ("main", "release/*"),
        ),
        ("Weekly Saturday 0:05 UTC", Timetable(frequency="WEEKLY", days=("SATURDAY",), minute=5), ()),
    ],
)
def test_schedules_are_read_and_written_back(text: str, table: Timetable, branches: tuple[str, ...]) -> None:
    definition = changed(schedule=text)
    condition = definition.conditions[ConditionKind.SCHEDULE]
    assert (condition.timetable, condition.source.names) == (table, branches)
    written = BY_NAME["schedule"].write(definition)
    assert changed(schedule=written).conditions == definition.conditions


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("branch", ""),
        ("branch", "*a"),
        ("tag", "v* *"),
        ("pull_request", "main"),
        ("pr", "a -> b -> c"),
        ("branch_files", "only"),
        ("schedule", "daily"),
        ("schedule", "daily 24:00"),
        ("schedule", "weekly 7:00"),
        ("schedule", "weekly mon,nix 7:00"),
        ("schedule", "daily 7:00 Atlantis/Main"),
        ("schedule", "../../etc/passwd 7:00"),
        ("schedule", "daily 7:00 ../../../etc/passwd"),
        ("clean", "perhaps"),
        ("name", ""),
        ("tag_cancel", "yes"),
        ("actions", " "),
        ("actions", "sing name=La"),
        ("actions", "test build"),
        ("actions", "test name='open"),
        ("actions", "test colour=red"),
        ("actions", "test destination=any-mac"),
        ("actions", "build plan=P"),
        ("actions", "build audience=internal"),
        ("actions", "archive audience=everybody"),
        ("actions", "archive platform=macos destination=any-ios-device"),
        ("actions", "archive platform=toaster"),
        ("actions", "test name=A\nbuild name=a"),
        ("actions", "\n".join(f"build name={number}" for number in range(31))),
        ("nothing", "x"),
        ("product", "Other"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name: str, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        changed(**{name: text})
    assert str(refused.value).endswith((".", "?"))


def test_short_names_mean_the_same_settings() -> None:
    assert changed(pr="any -> main").conditions == changed(pull_request="any → main").conditions
    assert changed(workspace="A.xcworkspace").container == "A.xcworkspace"
    assert changed(**{"manual-pr": "any"}).conditions.keys() == {ConditionKind.MANUAL_PULL_REQUEST}


def test_a_difference_names_what_changes_and_nothing_else() -> None:
    after = changed(clean="yes", branch="any", actions="test name=T scheme=App platform=ios")
    assert [(found.label, found.before, found.after) for found in differences(PLAIN, after)] == [
        ("Clean", "no", "yes"),
        ("Branch changes", "off", "any"),
        ("Branch changes: cancel older builds", "", "yes"),
        ("Action T", "test name=T platform=ios", "test name=T platform=ios scheme=App"),
    ]
    assert differences(PLAIN, PLAIN) == []
    reordered = changed(PLAIN, actions="build name=B\ntest name=T platform=ios")
    (order,) = differences(reordered, changed(reordered, actions="test name=T platform=ios\nbuild name=B"))
    assert (order.label, order.after) == ("Order of actions", "T, B")


def test_actions_take_what_the_system_itself_would_fill_in() -> None:
    assert [
        read_action(f"{kind} platform={platform}").destination
        for kind in ("build", "analyze")
        for platform in ("ios", "macos")
    ] == [
        "ANY_IOS_DEVICE",
        "ANY_MAC",
        "ANY_IOS_SIMULATOR",
        "ANY_MAC",
    ]
    assert read_action("Test").name == "Test - iOS"
    (first, second) = with_actions(PLAIN.actions, ["archive scheme=App", "name=t required=no"], [])
    assert (first.name, first.required, second.name) == ("T", False, "Archive - iOS")
    moved = read_action("name=A platform=tvos", [read_action("archive name=A")])
    assert moved.destination == "ANY_TVOS_DEVICE"


names = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
)
actions = st.builds(
    WorkflowAction,
    kind=st.sampled_from([kind.value for kind in ActionKind]),
    name=names,
    platform=st.sampled_from([platform.value for platform in Platform]),
    scheme=st.none() | names,
    required=st.booleans(),
).flatmap(
    lambda action: st.builds(
        lambda plan, devices: WorkflowAction(
            kind=action.kind,
            name=action.name,
            platform=action.platform,
            scheme=action.scheme,
            required=action.required,
            destination=DESTINATIONS[action.platform or ""][0] if action.kind != "TEST" else None,
            plan=plan if action.kind == "TEST" and (plan or "").casefold() != "scheme" else None,
            devices=tuple(dict.fromkeys(devices)) if action.kind == "TEST" else (),
        ),
        st.none() | names,
        st.lists(names, max_size=3),
    )
)


@given(actions)
def test_actions_are_read_back_as_they_were_written(action: WorkflowAction) -> None:
    line = write_action(action)
    assert "\n" not in line
    assert read_actions(line, ()) == (action,)


refs = st.text("abcXYZ019/_-.#@", min_size=1, max_size=12).filter(lambda name: name.casefold() not in {"any", "all"})


@given(st.lists(refs, min_size=1, max_size=5, unique=True), st.booleans())
def test_patterns_are_read_back_as_they_were_written(branches: list[str], prefix: bool) -> None:
    patterns = Patterns(names=tuple(f"{name}*" if prefix else name for name in branches))
    assert read_patterns(write_patterns(patterns)) == patterns


files = st.builds(
    FileMatcher,
    directory=st.sampled_from(["", "Sources", "a/b"]),
    name=st.sampled_from(["", "README", "Package"]),
    extension=st.sampled_from(["", "md", "swift"]),
)


@given(st.booleans(), st.lists(files, min_size=1, max_size=4))
def test_files_are_read_back_as_they_were_written(exclusion: bool, matchers: list[FileMatcher]) -> None:
    rule = FilesRule(is_exclusion=exclusion, matchers=tuple(matchers))
    assert read_files(write_files(rule)) == rule


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_reads_what_it_writes(setting: object) -> None:
    whole = changed(
        description="d",
        container="A",
        xcode="26.1",
        macos="26",
        branch="main",
        branch_files="except *.md",
        tag="v*",
        tag_files="only README.md",
        pull_request="any -> main",
        schedule="hourly",
        manual_branch="any",
        manual_tag="any",
        manual_pull_request="a -> b",
    )
    known = BY_NAME[setting.name]  # type: ignore[attr-defined]
    text = known.write(whole)
    assert known.write(known.read(whole, text or "x", "UTC")) == (text or "x")


def test_uploads_are_said_as_people_say_them() -> None:
    first = Upload(id="1", number="42", version="2.1.0", state=UploadState.PROCESSING)
    second = Upload(id="2", number="7", state=UploadState.VALID, is_internal=True, is_expired=True)
    assert upload_details([first, second]) == {
        "TestFlight": "build 42 (2.1.0), processing; build 7, internal testing only, expired"
    }
    assert Upload(id="3", number="1").words == "build 1"
