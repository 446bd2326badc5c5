"""Fields of the vendors' builds that nobody is shown, with the reason; `test_fields.py` holds them to the answers.

A pattern is a path of members with `*` in it; items of lists are numbered.
"""

from collections.abc import Mapping

PICTURE = "a picture"
ADDRESS = "an address of the API; the page for people is shown"
INTERNAL = "an id of the vendor's own that no command takes"
KIND = "says what kind of object it is"
TWICE = "says again what another field says"
PROFILE = "about a person or an app, not about the build"
PIPELINE = "about the pipeline, not about the build"
JOBS = "shown by `jobs`"
SECRETS = "may hold secrets"
RIGHTS = "what the token may do: refusals say it"
PAGING = "about the list, not about a build"

EVERYWHERE: Mapping[str, str] = {
    "*avatar*": PICTURE,
    "*imageUrl": PICTURE,
    "*gravatar_id": PICTURE,
    "*favicon": PICTURE,
    "*icon": PICTURE,
    "*illustration": PICTURE,
    "*node_id": INTERNAL,
    "*graphql_id": INTERNAL,
    "*descriptor": INTERNAL,
    "*links.*": ADDRESS,
    "*href": ADDRESS,
    "url": ADDRESS,
    "*.url": ADDRESS,
    "*_url": ADDRESS,
    "*._class": KIND,
    "_class": KIND,
}
IGNORED: Mapping[str, Mapping[str, str]] = {
    "azure_devops": {
        "plans.*": INTERNAL,
        "properties*": INTERNAL,
        "orchestrationPlan.*": INTERNAL,
        "uri": TWICE,
        "definition.drafts": PIPELINE,
        "definition.uri": PIPELINE,
        "definition.type": KIND,
        "definition.queueStatus": PIPELINE,
        "definition.revision": PIPELINE,
        "definition.project.*": TWICE,
        "project.*": "about the project, not about the build",
        "queue.id": INTERNAL,
        "queue.pool.id": INTERNAL,
        "*.uniqueName": TWICE,
        "requestedBy.*": TWICE,
        "*.id": INTERNAL,
        "logs.*": "shown by `logs`",
        "appendCommitMessageToRunName": PIPELINE,
        "repository.*": PIPELINE,
        "triggerInfo.pr.number": TWICE,
        "triggerInfo.pr.triggerRepository*": TWICE,
        "triggerInfo.ci.*": TWICE,
        "sourceBranch": "a pull request's ref: its number and its branches are shown",
        "sourceVersion": TWICE,
        "parameters": SECRETS,
        "templateParameters.*": SECRETS,
    },
    "bitbucket": {
        "type": KIND,
        "*.type": KIND,
        "creator.uuid": INTERNAL,
        "creator.account_id": INTERNAL,
        "creator.nickname": TWICE,
        "repository.name": TWICE,
        "state.name": TWICE,
        "state.stage.name": TWICE,
        "configuration_sources.0.uri": ADDRESS,
        "variables*": SECRETS,
        "target.selector.*": TWICE,
        "target.commit.message": TWICE,
    },
    "buildkite": {
        "creator.id": PROFILE,
        "author.username": PROFILE,
        "creator.created_at": PROFILE,
        "job_state_counts.total": TWICE,
        "jobs.*": JOBS,
        "jobs": JOBS,
        "env*": SECRETS,
        "meta_data*": SECRETS,
        "pipeline.*": PIPELINE,
        "merge_queue": "empty unless a merge queue made the build, which `source` says",
        "pull_request.*": TWICE,
    },
    "circleci": {"*updated_at": TWICE, "trigger_parameters.*": SECRETS},
    "github_actions": {
        "check_suite_id": INTERNAL,
        "actor.*": PROFILE,
        "triggering_actor.*": PROFILE,
        "referenced_workflows.0.ref": TWICE,
        "run_started_at": "the start of an attempt that is still queued",
        "head_commit.id": TWICE,
        "head_commit.tree_id": INTERNAL,
        "head_commit.committer.email": PROFILE,
        "repository.*": PIPELINE,
        "head_repository.*": "about the repository, not about the build",
        "pull_requests*": "no proof of what triggered the run",
        "conclusion": "empty until the run has ended",
        "workflow_id": PIPELINE,
    },
    "gitlab": {
        "user.*": PROFILE,
        "detailed_status.text": TWICE,
        "detailed_status.tooltip": TWICE,
        "detailed_status.has_details": ADDRESS,
        "detailed_status.details_path": ADDRESS,
        "detailed_status.group": TWICE,
        "project_id": PIPELINE,
    },
    "gitlab_v3": {
        "*commit.short_id": TWICE,
        "*commit.title": TWICE,
        "*user.*": PROFILE,
        "*download_url": ADDRESS,
        "*runner.*": "about the runner, not about the build",
    },
    "jenkins": {
        "*causes.0.user*": TWICE,
        "*parameters.0.value": SECRETS,
        "artifacts*": "shown by `artifacts`",
        "executor": INTERNAL,
        "fullDisplayName": TWICE,
        "id": TWICE,
        "previousBuild.*": TWICE,
        "nextBuild*": TWICE,
        "*kind": KIND,
        "changeSet*": "the newest commit is shown, the others by `changes`",
        "inProgress": TWICE,
        "building": TWICE,
        "duration": "empty until the build has ended",
        "actions.*": "counts and branches that other actions say, too",
    },
    "travis": {
        "*@*": KIND,
        "@permissions.*": RIGHTS,
        "repository.*": PIPELINE,
        "branch.*": TWICE,
        "commit.id": INTERNAL,
        "jobs.*": JOBS,
        "stages.0.*": JOBS,
        "created_by.*": PROFILE,
    },
    "truto": {
        "*remote_data*": "handed out by `--option truto_response_format=raw`; known fields fill what Truto leaves out",
        "*status": TWICE,
        "next_cursor": PAGING,
        "prev_cursor": PAGING,
        "result_count": PAGING,
        "is_partial_response": PAGING,
    },
    "xcode_cloud": {
        "*.type": KIND,
        "data.attributes.executionProgress": TWICE,
        "data.relationships.product.data.id": PIPELINE,
        "*included.*": "about the workflow, the product or the ref, not about the build",
        "included.*": "about the workflow, the product or the ref, not about the build",
    },
}
"""By the name of the case in the common tests, or its kind."""
