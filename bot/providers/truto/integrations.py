"""The CI systems behind Truto: what each requires, what it can do, and why not the rest."""

from collections.abc import Mapping
from enum import StrEnum

from bot.providers.base.capabilities import Capability


class Integration(StrEnum):
    """A CI system whose builds Truto unifies."""

    AZURE = "azure_devops"
    BITBUCKET = "bitbucket"
    CIRCLECI = "circleci"
    GITHUB = "github"
    JENKINS = "jenkins"
    TRAVIS = "travis_ci"


LABELS: Mapping[Integration, str] = {
    Integration.AZURE: "Azure DevOps",
    Integration.BITBUCKET: "Bitbucket",
    Integration.CIRCLECI: "CircleCI",
    Integration.GITHUB: "GitHub",
    Integration.JENKINS: "Jenkins",
    Integration.TRAVIS: "Travis CI",
}
_ALIASES: Mapping[str, Integration] = {
    "azure": Integration.AZURE,
    "githubactions": Integration.GITHUB,
    "travis": Integration.TRAVIS,
}
_BY_NAME: Mapping[str, Integration] = {**{one.value.replace("_", ""): one for one in Integration}, **_ALIASES}

REQUIRED: Mapping[Integration, tuple[str, ...]] = {
    Integration.AZURE: ("workspace_id",),
    Integration.BITBUCKET: ("workspace_id", "repo"),
    Integration.CIRCLECI: ("repo_id",),
    Integration.GITHUB: ("owner", "repo_id"),
    Integration.JENKINS: ("workflow_id",),
    Integration.TRAVIS: ("repo_id",),
}
"""What Truto requires to list builds, besides the account."""

TAKES_STATUS = frozenset(Integration) - {Integration.TRAVIS}
TAKES_CONCLUSION = frozenset(Integration) - {Integration.BITBUCKET}
BRANCH_QUERY: Mapping[Integration, tuple[str, str]] = {
    Integration.AZURE: ("branchName", "refs/heads/"),
    Integration.BITBUCKET: ("target.branch", ""),
    Integration.CIRCLECI: ("branch", ""),
    Integration.GITHUB: ("branch", ""),
    Integration.TRAVIS: ("branch.name", ""),
}
"""How the system itself narrows builds to a branch (Truto's own list can't), and what stands before the name."""
COMMIT_QUERY: Mapping[Integration, str] = {
    Integration.BITBUCKET: "target.commit.hash",
    Integration.GITHUB: "head_sha",
}

READS: Mapping[Integration, frozenset[Capability]] = {
    Integration.AZURE: frozenset(
        {Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS, Capability.ARTIFACTS}
    ),
    Integration.BITBUCKET: frozenset({Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS}),
    Integration.CIRCLECI: frozenset({Capability.JOBS, Capability.ISSUES, Capability.COUNTS, Capability.ARTIFACTS}),
    Integration.GITHUB: frozenset(
        {Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS, Capability.ARTIFACTS}
    ),
    Integration.JENKINS: frozenset({Capability.ARTIFACTS}),
    Integration.TRAVIS: frozenset({Capability.REFS, Capability.JOBS, Capability.ISSUES, Capability.COUNTS}),
}
"""What Truto's unified model holds for a system."""
PASSED_ON: Mapping[Integration, frozenset[Capability]] = {
    Integration.AZURE: frozenset({Capability.START, Capability.CANCEL, Capability.REBUILD, Capability.RETRY_FAILED}),
    Integration.BITBUCKET: frozenset(
        {Capability.START, Capability.CANCEL, Capability.REBUILD, Capability.LOG, Capability.LIVE_LOG}
    ),
    Integration.CIRCLECI: frozenset(
        {Capability.START, Capability.CANCEL, Capability.RETRY_ALL, Capability.RETRY_FAILED}
    ),
    Integration.GITHUB: frozenset(
        {
            Capability.START,
            Capability.CANCEL,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.LOG,
            Capability.DOWNLOAD,
        }
    ),
    Integration.JENKINS: frozenset({Capability.CANCEL}),
    Integration.TRAVIS: frozenset(
        {
            Capability.START,
            Capability.CANCEL,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.LOG,
        }
    ),
}
"""What is done by a request of the system's own that Truto passes on."""

NEVER: Mapping[Capability, tuple[str, str]] = {
    Capability.PARAMETERS: (
        "Truto does not tell which parameters a build takes.",
        "Give them as KEY=VALUE where the system takes any.",
    ),
    Capability.DOWNLOAD: (
        "The artifacts of this system lie where Truto's credentials don't reach.",
        "Open the artifact's address in the browser.",
    ),
    Capability.ERASE: ("Truto deletes nothing of a build.", "Do it on the build's page."),
    Capability.TESTS: (
        "Truto's model holds no tests.",
        "Look at the build's page, or connect the system directly.",
    ),
    Capability.APPROVALS: (
        "Truto's model does not tell which steps wait.",
        "Decide on the build's page, or connect the system directly.",
    ),
    Capability.DECIDE: (
        "Truto can't approve a waiting step.",
        "Do it on the build's page, or connect the system directly.",
    ),
    Capability.REJECT: (
        "Truto can't reject a waiting step.",
        "Do it on the build's page, or connect the system directly.",
    ),
    Capability.PIPELINE_ADMIN: ("Pipelines are managed at the system itself, not through Truto.", "Do it there."),
    Capability.LIVE_LOG: ("The log can be read when the job has ended.", "Until then it is on the job's page."),
    Capability.ACCOUNT_POLL: ("Truto has no list of a whole account's builds.", "I ask for each pipeline."),
}
"""What no system can do through Truto."""

_SAME_BUILD = "`/build retry` runs it again."
_ON_PAGE = "Do it on the build's page."
WHY_NOT: Mapping[Integration, Mapping[Capability, tuple[str, str]]] = {
    Integration.AZURE: {
        Capability.RETRY_ALL: (
            "Azure DevOps can run only the failed jobs of a build again.",
            "To run all of them, build the same again: `/build rebuild`.",
        ),
        Capability.RETRY_JOB: ("Azure DevOps can't run one job again.", "Run the failed ones: `/build retry`."),
        Capability.LOG: ("Truto does not tell which log belongs to a job of Azure DevOps.", "Open the build's page."),
    },
    Integration.BITBUCKET: {
        Capability.RETRY_ALL: (
            "Bitbucket lets no program run a pipeline again.",
            "A new one of the same commit: `/build rebuild`.",
        ),
        Capability.RETRY_FAILED: (
            "Bitbucket lets no program run failed steps again.",
            "Run them on its page, or build the same again: `/build rebuild`.",
        ),
        Capability.RETRY_JOB: ("Bitbucket lets no program run a step again.", "Run it on the pipeline's page."),
        Capability.ARTIFACTS: ("Truto lists no artifacts of Bitbucket.", "They are on the pipeline's page."),
    },
    Integration.CIRCLECI: {
        Capability.REFS: ("Truto lists no branches of CircleCI.", "Type the branch's name after `@`."),
        Capability.REBUILD: ("CircleCI starts a branch's newest commit, not the same again.", _SAME_BUILD),
        Capability.RETRY_JOB: (
            "Truto does not tell which workflow a job of CircleCI is in.",
            "Run the failed ones: `/build retry`.",
        ),
        Capability.LOG: ("CircleCI's logs can't be read through Truto.", "Open the job's page."),
    },
    Integration.GITHUB: {
        Capability.REBUILD: ("GitHub runs the same again under the same number.", "That is `/build retry --all`."),
    },
    Integration.JENKINS: {
        Capability.REFS: ("Truto lists no branches of Jenkins.", "A branch of a multibranch project is a job."),
        Capability.START: (
            "Jenkins answers a start with a place in its queue; Truto keeps that, so I could not tell what I started.",
            "Start it on the job's page, or connect this Jenkins directly (`kind = jenkins`).",
        ),
        Capability.REBUILD: (
            "Jenkins answers a rebuild with a place in its queue, and Truto does not hand that on.",
            "Do it on the build's page, or connect this Jenkins directly (`kind = jenkins`).",
        ),
        Capability.RETRY_ALL: ("Jenkins can't run a build again under the same number.", _ON_PAGE),
        Capability.RETRY_FAILED: ("Truto does not tell the stages of a Jenkins build.", _ON_PAGE),
        Capability.RETRY_JOB: ("Truto does not tell the stages of a Jenkins build.", _ON_PAGE),
        Capability.JOBS: ("Truto does not tell the stages of a Jenkins build.", "Open the build's page."),
        Capability.LOG: ("Truto does not tell the stages of a Jenkins build, so I have no log of one.", _ON_PAGE),
        Capability.ISSUES: ("Truto does not tell the stages of a Jenkins build, so I know of no issues.", _ON_PAGE),
        Capability.COUNTS: ("Truto does not tell the stages of a Jenkins build, so I can't count issues.", _ON_PAGE),
    },
    Integration.TRAVIS: {
        Capability.REBUILD: ("Travis CI runs the same again under the same number.", "That is `/build retry --all`."),
        Capability.ARTIFACTS: ("Travis CI keeps no artifacts.", "They are where the build sends them."),
    },
}
"""Why one system can't do what another behind Truto can, and the nearest thing to do."""


def integration_of(name: str) -> Integration | None:
    """Return the integration that a name means, however it is written (`Azure DevOps`, `azuredevops`)."""
    return _BY_NAME.get("".join(c for c in name.lower() if c.isalnum()))
