"""What Azure DevOps cannot do, in words."""

from collections.abc import Mapping

from bot.providers.base.capabilities import Capability

REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.RETRY_ALL: (
        "Azure DevOps runs only failed jobs of a completed build again.",
        "To run all of them, build the same again: `/build rebuild`.",
    ),
    Capability.ERASE: (
        "Azure DevOps deletes a build as a whole and keeps or drops logs by its retention rules.",
        "Delete the build on its page.",
    ),
    Capability.PIPELINE_ADMIN: (
        "Azure DevOps' pipelines are managed on their own pages.",
        "Open the pipeline there and choose Edit or Settings.",
    ),
}
