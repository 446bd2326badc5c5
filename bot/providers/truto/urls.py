"""The pages of the systems behind Truto, which has none of its own."""

import re
from urllib.parse import unquote, urlsplit

from bot.core.models import Page
from bot.providers.truto.convert import Place
from bot.providers.truto.integrations import Integration

_GITHUB = re.compile(
    r"/(?P<owner>[^/]+)/(?P<pipeline>[^/]+)(?:/actions(?:/runs/(?P<build>\d+)(?:/attempts/\d+)?(?:/job/(?P<job>\d+))?)?)?"
)
_BITBUCKET = re.compile(r"/(?P<owner>[^/]+)/(?P<pipeline>[^/]+)(?:/pipelines(?:/results/(?P<number>\d+))?.*)?")
_CIRCLECI = re.compile(r"/pipelines/(?P<host>[^/]+)/(?P<pipeline>[^/]+/[^/]+)(?:/(?P<number>\d+))?(?:/.*)?")
_TRAVIS = re.compile(r"(?:/github)?/(?P<pipeline>[^/]+/[^/]+?)(?:/builds(?:/(?P<build>\d+))?)?")
_AZURE = re.compile(r"/[^/]+/(?P<owner>[^/]+)/_build(?:/results)?")
_BUILD = re.compile(r"(?:^|&)buildId=(\d+)(?:&|$)")
_SHORT = {"github": "gh", "bitbucket": "bb"}
_SITES = {
    Integration.AZURE: ("dev.azure.com", _AZURE),
    Integration.BITBUCKET: ("bitbucket.org", _BITBUCKET),
    Integration.CIRCLECI: ("app.circleci.com", _CIRCLECI),
    Integration.GITHUB: ("github.com", _GITHUB),
    Integration.TRAVIS: ("app.travis-ci.com", _TRAVIS),
}


def read(url: str, home: Place) -> Page | None:
    """Return what a page shows, None where it is not one of the connection's. `home` is the pipeline of the options."""
    try:
        address = urlsplit(url.strip())
    except ValueError:
        return None
    site = _SITES.get(home.integration)
    if site is None or address.scheme not in {"http", "https"} or address.netloc.lower() != site[0]:
        return None
    found = site[1].fullmatch(unquote(address.path).rstrip("/"))
    if found is None:
        return None
    parts = found.groupdict()
    owner = parts.get("owner")
    if owner is not None and owner.lower() != home.owner.lower():
        return None
    match home.integration:
        case Integration.AZURE:
            build = _BUILD.search(address.query)
            return Page(pipeline=home.pipeline, build=build[1] if build else None)
        case Integration.CIRCLECI:
            pipeline = f"{_SHORT.get(parts['host'], parts['host'])}/{parts['pipeline']}"
            if pipeline.lower() != home.pipeline.lower():
                return None
        case Integration.TRAVIS:
            # a connection may name its repository by number: then its pages can't be told from others'
            pipeline = parts["pipeline"]
            if pipeline.lower() != home.pipeline.lower():
                return None
        case _:
            pipeline = parts["pipeline"]
    number = parts.get("number")
    return Page(
        pipeline=pipeline, build=parts.get("build"), number=int(number[:18]) if number else None, job=parts.get("job")
    )
