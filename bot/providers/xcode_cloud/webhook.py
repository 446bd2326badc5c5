"""Webhooks. Apple signs nothing: the secret in the address is all there is, so what a body says is only a hint.

Facts: "Configuring webhooks in Xcode Cloud" and "Xcode Cloud webhook payload reference", checked 2026-11. Deliveries are
repeated until they are answered with 2xx within 30 seconds.
"""

from bot.core.models import WebhookEvent
from bot.providers.xcode_cloud.wire import WebhookBody

UNRECOGNIZED = "UNRECOGNIZED"


def parse(body: bytes) -> WebhookEvent | None:
    """Return the run that a body names, or None where it names none or an event that Apple itself does not know.

    Call it after the secret in the address was checked. Raises UnexpectedResponse. Without a workflow, which run it is
    cannot be asked, so the event stands for the whole connection.
    """
    webhook = WebhookBody.of(body)
    event = webhook.metadata.attributes.event_type if webhook.metadata and webhook.metadata.attributes else None
    if not event or event == UNRECOGNIZED or webhook.ci_build_run is None:
        return None
    run, workflow = webhook.ci_build_run.id, webhook.ci_workflow
    return WebhookEvent(
        delivery=f"{run}:{event}",
        pipeline=workflow.id if workflow is not None else None,
        build=run if workflow is not None else None,
    )
