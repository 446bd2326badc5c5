"""The local CI systems' pages for people: an overview, one page for each pipeline, and one for each build."""

import html
from collections.abc import Iterable

from playground.ci.model import Build, Pipeline
from playground.ci.simulation import newest_first

SHOWN_BUILDS = 30
STYLE = (
    "body{font:16px/1.5 system-ui,'Liberation Sans',sans-serif;margin:0 auto;max-width:46rem;padding:2rem 1rem;color-scheme:light dark}"
    "ul{list-style:none;padding:0}li{padding:.35rem 0;border-bottom:1px solid #8884}a{color:#1a62c7}"
    "small,p{color:#777}code{font-family:ui-monospace,'DejaVu Sans Mono',monospace}"
)


def overview(label: str, pipelines: Iterable[tuple[Pipeline, str]]) -> str:
    """Return the page of a whole system: each pipeline with the address of its page."""
    items = [f'<li><a href="{_text(url)}">{_text(pipeline.path)}</a></li>' for pipeline, url in pipelines]
    return _document(label, "", items)


def pipeline_page(label: str, pipeline: Pipeline, home: str, builds: Iterable[tuple[Build, str]]) -> str:
    """Return the page of a pipeline: its latest builds, each with the address of its page."""
    items = [
        f'<li><a href="{_text(url)}">#{build.number}</a> {_state(build)} · {_text(build.ref)}'
        f" <small>{_text(build.commit.title)}</small></li>"
        for build, url in builds
    ]
    return _document(f"{label}: {pipeline.path}", _up(home, label), items)


def build_page(label: str, build: Build, pipeline_url: str) -> str:
    """Return the page of a build: its commit and how each job stands."""
    items = [f"<li>{_text(job.step.name)}: {job.state.value}</li>" for job in build.current]
    about = (
        f"<p>{_state(build)} · {_text(build.ref)} · <code>{build.commit.sha[:8]}</code> · {_text(build.commit.title)}"
        f" · {_text(build.commit.author.name)}</p>"
    )
    title = f"{label}: {build.pipeline.path} #{build.number}"
    return _document(title, _up(pipeline_url, build.pipeline.path) + about, items)


def latest(pipeline: Pipeline) -> list[Build]:
    """Return the builds that a pipeline's page shows, newest first."""
    return newest_first(pipeline.builds)[:SHOWN_BUILDS]


def _document(title: str, above: str, items: list[str]) -> str:
    return (
        '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{STYLE}</style>"
        f"<h1>{_text(title)}</h1>{above}<ul>{''.join(items)}</ul></html>"
    )


def _up(url: str, label: str) -> str:
    return f'<p><a href="{_text(url)}">← {_text(label)}</a></p>'


def _state(build: Build) -> str:
    return build.result.value if build.result else build.state.value


def _text(text: str) -> str:
    return html.escape(text)
