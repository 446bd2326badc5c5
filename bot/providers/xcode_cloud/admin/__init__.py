"""Administration at Xcode Cloud: workflows, and what an account holds beside them; what runs handed on."""

from bot.providers.xcode_cloud.admin.uploads import uploads
from bot.providers.xcode_cloud.admin.workflow_admin import Version, WorkflowAdmin, newness

__all__ = ["Version", "WorkflowAdmin", "newness", "uploads"]
