"""What a run handed to TestFlight and the App Store.

Facts: Apple's OpenAPI document 4.4.1, checked 2026-11.
"""

from collections.abc import Mapping

from bot.core.errors import ProviderError
from bot.core.workflows import Upload, UploadState
from bot.providers.base.listing import parse_items
from bot.providers.xcode_cloud import urls
from bot.providers.xcode_cloud.client import PAGE_SIZE, Client, FixedQuery
from bot.providers.xcode_cloud.wire import (
    Included,
    ReleaseAttributes,
    Resource,
    UploadAttributes,
    attributes_of,
)

UPLOADS: FixedQuery = {
    "fields[builds]": "version,expired,processingState,buildAudienceType",
    "sort": "-uploadedDate",
    "limit": PAGE_SIZE,
}
UPLOAD_STATES: Mapping[str, UploadState] = {
    "PROCESSING": UploadState.PROCESSING,
    "FAILED": UploadState.FAILED,
    "INVALID": UploadState.INVALID,
    "VALID": UploadState.VALID,
}
INTERNAL = "INTERNAL_ONLY"
MOST_VERSIONS = 50


async def uploads(client: Client, run: str) -> tuple[Upload, ...]:
    """Return what a run handed to TestFlight and the App Store, newest first.

    One request; a second one for the marketing versions where there is anything. Versions that cannot be read are left
    out: not every key that reads runs may read an app's builds.
    """
    sent = await client.read_all(urls.run_uploads(run), UPLOADS, lambda resource: resource)
    if not sent:
        return ()
    releases = await _releases(client, [resource.id for resource in sent])
    return tuple(_upload(resource, releases.get(resource.id)) for resource in sent)


async def _releases(client: Client, builds: list[str]) -> Mapping[str, ReleaseAttributes]:
    """Return the marketing version of builds in the store by the build's id; those that can be read."""
    query: FixedQuery = {
        "filter[id]": ",".join(builds[:MOST_VERSIONS]),
        "fields[builds]": "preReleaseVersion",
        "fields[preReleaseVersions]": "version,platform",
        "include": "preReleaseVersion",
        "limit": PAGE_SIZE,
    }
    releases: dict[str, ReleaseAttributes] = {}
    try:
        async for page in client.listing(urls.STORE_BUILDS, query):
            included = page.included_by_id
            read = parse_items(page.data, lambda raw: _release(Resource.of(raw), included))  # noqa: B023
            releases |= {build: release for build, release in read if release is not None}
    except ProviderError:
        return releases
    return releases


def _release(build: Resource, included: Included) -> tuple[str, ReleaseAttributes | None]:
    version = build.to("pre_release_version")
    return build.id, attributes_of(included, "preReleaseVersions", version, ReleaseAttributes)


def _upload(resource: Resource, release: ReleaseAttributes | None) -> Upload:
    attributes = resource.read(UploadAttributes)
    return Upload(
        id=resource.id,
        number=attributes.version or resource.id,
        version=release.version if release is not None else None,
        platform=release.platform if release is not None else None,
        state=UPLOAD_STATES.get(attributes.processing_state or "", UploadState.UNKNOWN),
        is_internal=attributes.build_audience_type == INTERNAL,
        is_expired=attributes.expired is True,
    )
