"""Names that only frameworks call or read, for `make dead` (vulture). Whatever else nothing uses is to be deleted."""
# ruff: noqa: B018, F821 - bare names are the form of such a list
# mypy: ignore-errors

# attributes of objects that are not ours: uvicorn, logging, threading, DB-API, slack_sdk, httpx, the playground
should_exit
handlers
daemon
arraysize
wss_uri
bot_url
trace

# providers, imported by their names in PROVIDERS
AzureDevOps
Bitbucket
Buildkite
CircleCI
GitHubActions
GitLab
Jenkins
Travis
Truto
XcodeCloud

# pydantic, SQLAlchemy and SQLModel
model_config
impl
cache_ok

# tables that statements name by their table's name; columns that are written for people who read the database
TokenRow
InboxRow
bot_id
installed_at
polled_at
down_since
granted_at
made_at
bound_at

# the signature of a callable
_.__call__

# the contract test compares it with the adapters
OVERRIDES

# relations of App Store Connect that `Resource.to` reads by name
source_branch_or_tag
destination_branch
xcode_version
mac_os_version
mac_os_versions
primary_repositories
scm_provider
pre_release_version

# a closed list of Truto's
UNIFIED
NORMALIZED

# handlers that `HANDLED` names
_home
_reaction
_archived
_left
_removed
_renamed
_revoked
