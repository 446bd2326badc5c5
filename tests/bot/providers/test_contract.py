"""The same questions to every adapter: capabilities, states, faults, endless listings, secrets."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from typing_extensions import override

from bot.core.errors import (
    AuthFailed,
    BotError,
    NotFound,
    ProviderError,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
    UsageError,
)
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Job,
    StartRequest,
    Status,
    Watched,
)
from bot.http.sending import ANSWER_BYTES
from bot.providers import PROVIDERS, open_provider
from bot.providers.base.capabilities import OVERRIDES, Capability
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, cases, clock, opened, result_of
from tests.bot.providers.replay import same_origin
from tests.bot.providers.specs import fits

CASES, BROKEN = cases()
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)
EVERY_KIND = pytest.mark.parametrize("kind", sorted(PROVIDERS))
MOST_PAGES = 300


class Answering(httpx.AsyncBaseTransport):
    """Answers every request by a function."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)


def serving(answers: tuple[Answer, ...]) -> Answering:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        for one in answers:
            if one.method == request.method and fits(one.path, path):
                return httpx.Response(one.status, headers=dict(one.headers), json=one.body)
        return httpx.Response(404, json={"message": "not here"})

    return Answering(answer)


# the tables


def test_every_case_imports() -> None:
    assert not BROKEN, "\n".join(f"cases/{name}.py: {why}" for name, why in BROKEN.items())


@EVERY_KIND
def test_provider_has_a_case(kind: str) -> None:
    assert kind in {case.kind for case in CASES}


@EVERY_KIND
def test_class_says_what_it_is(kind: str) -> None:
    provider = PROVIDERS[kind]
    assert provider.kind == kind
    assert provider.label
    assert provider.page
    assert issubclass(provider.options_type, Options)
    assert all(field.description for field in provider.options_type.model_fields.values()), "an option lacks its help"
    assert list(PROVIDERS) == sorted(PROVIDERS)


def test_unknown_kind_and_foreign_options_are_refused_in_words() -> None:
    client = httpx.AsyncClient(transport=serving(()), trust_env=False)
    with pytest.raises(UsageError, match="carrier_pigeon"):
        open_provider(CONNECTION, "carrier_pigeon", Options(), client=client, clock=clock)
    with pytest.raises(UsageError, match=CONNECTION):
        open_provider(CONNECTION, min(PROVIDERS), Options(), client=client, clock=clock)


# capabilities


@EVERY_KIND
def test_capabilities_match_the_overridden_methods(kind: str) -> None:
    provider = PROVIDERS[kind]
    overridden = {method for method in OVERRIDES.values() if getattr(provider, method) is not getattr(Provider, method)}
    for capability in provider.capabilities:
        assert OVERRIDES[capability] in overridden, f"{capability} is declared, {OVERRIDES[capability]} not overridden"
    # `changes` may be overridden to poll better without one list for the whole account
    declared = {OVERRIDES[capability] for capability in provider.capabilities} | {"changes"}
    assert overridden <= declared, "overridden and not declared"


JOB = Job(id="j", build="1", pipeline="p", name="j")
GATE = Approval(id="g", build="1", pipeline="p", name="g")
ARTIFACT = Artifact(id="a", build="1", pipeline="p", name="a")
ASKED: dict[Capability, Call] = {
    Capability.REFS: lambda p: p.refs("p"),
    Capability.PARAMETERS: lambda p: p.parameters("p", None),
    Capability.START: lambda p: p.start("p", StartRequest()),
    Capability.CANCEL: lambda p: p.cancel("p", "1"),
    Capability.REBUILD: lambda p: p.rebuild("p", "1", StartRequest()),
    Capability.RETRY_ALL: lambda p: p.retry("p", "1", failed_only=False),
    Capability.RETRY_FAILED: lambda p: p.retry("p", "1"),
    Capability.RETRY_JOB: lambda p: p.retry("p", "1", job="j"),
    Capability.ERASE: lambda p: p.erase("p", "1"),
    Capability.ERASE_JOB: lambda p: p.erase_job("p", "j"),
    Capability.JOBS: lambda p: p.jobs("p", "1"),
    Capability.LOG: lambda p: p.log(JOB),
    Capability.ARTIFACTS: lambda p: p.artifacts("p", "1"),
    Capability.DOWNLOAD: lambda p: p.download(ARTIFACT),
    Capability.TESTS: lambda p: p.tests("p", "1"),
    Capability.ISSUES: lambda p: p.issues("p", "1"),
    Capability.COUNTS: lambda p: p.counts(Build(connection=CONNECTION, pipeline="p", id="1")),
    Capability.COMMITS: lambda p: p.commits("p", "a" * 40, "b" * 40),
    Capability.APPROVALS: lambda p: p.approvals("p", "1"),
    Capability.DECIDE: lambda p: p.decide(GATE, approve=True),
    Capability.REJECT: lambda p: p.decide(GATE, approve=False),
    Capability.UPLOADS: lambda p: p.uploads("p", "1"),
    Capability.PIPELINE_ADMIN: lambda p: p.pipeline_admin(),
    Capability.WEBHOOK: lambda p: p.parse_webhook({}, b"{}"),
}


@EVERY_CASE
async def test_what_is_not_declared_is_refused_in_words_and_without_a_request(case: Case) -> None:
    transport = serving(())
    async with opened(case, transport) as provider:
        for capability, call in ASKED.items():
            if provider.can(capability):
                continue
            with pytest.raises(Unsupported) as refused:
                await result_of(call(provider))
            assert str(refused.value).endswith("."), f"{capability}: {refused.value}"
            assert provider.label in str(refused.value) or refused.value.hint, capability
    assert not transport.asked


# states


@EVERY_CASE
def test_every_documented_state_is_known(case: Case) -> None:
    states = PROVIDERS[case.kind].states
    assert case.states <= states.keys(), f"documented, not in `states`: {case.states - states.keys()}"
    for raw, (status, conclusion) in states.items():
        assert conclusion is None or status is Status.COMPLETED, raw


@EVERY_CASE
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_unknown_state_is_kept_and_shown(case: Case) -> None:
    async with opened(case, serving(case.unknown_state("hibernating"))) as provider:
        build = await provider.build(case.pipeline, case.build)
    assert build.raw_state is not None
    assert "hibernating" in build.raw_state
    assert build.conclusion is None


# faults

FAULTS: dict[str, tuple[Callable[[], httpx.Response], type[BotError]]] = {
    "401": (lambda: httpx.Response(401, json={"message": "no"}), AuthFailed),
    "403": (lambda: httpx.Response(403, json={"message": "no"}), AuthFailed),
    "404": (lambda: httpx.Response(404, json={"message": "no"}), NotFound),
    "429": (lambda: httpx.Response(429, headers={"Retry-After": "120"}, json={"message": "slow"}), RateLimited),
    "500": (lambda: httpx.Response(500, text="<html>oops</html>"), Unavailable),
    "html": (lambda: httpx.Response(200, text="<html>Sign in</html>"), UnexpectedResponse),
    "empty": (lambda: httpx.Response(200, content=b""), UnexpectedResponse),
    "deep": (lambda: httpx.Response(200, content=b"[" * 100_000), UnexpectedResponse),
    "huge": (lambda: httpx.Response(200, content=b" " * (ANSWER_BYTES + 1)), UnexpectedResponse),
}


def basics(case: Case) -> dict[str, Call]:
    return {
        "check": lambda p: p.check(),
        "pipelines": lambda p: p.pipelines(),
        "build": lambda p: p.build(case.pipeline, case.build),
        "builds": lambda p: p.builds(case.pipeline, BuildFilter()),
    }


@pytest.mark.parametrize("fault", FAULTS)
@EVERY_CASE
async def test_faults_become_the_right_errors(case: Case, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    response, usual = FAULTS[fault]
    for name, call in basics(case).items():
        wanted = case.faults.get((name, fault), usual)
        async with opened(case, Answering(lambda _: response())) as provider:
            if wanted is None:
                await result_of(call(provider))
                continue
            with pytest.raises(wanted) as raised:
                await result_of(call(provider))
            assert_readable(case, provider, raised.value)
    for secret in case.secrets:
        assert secret not in caplog.text


@EVERY_CASE
async def test_no_answer_is_unavailable(case: Case) -> None:
    def silent(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    for call in basics(case).values():
        async with opened(case, Answering(silent)) as provider:
            with pytest.raises(Unavailable) as raised:
                await result_of(call(provider))
            assert_readable(case, provider, raised.value)


def assert_readable(case: Case, provider: Provider[Any], exc: BotError) -> None:
    words = f"{exc} {exc.hint} {exc!r}"
    assert str(exc)
    assert "<html" not in words
    for secret in case.secrets:
        assert secret not in words
    if isinstance(exc, ProviderError):
        assert exc.provider
    if isinstance(exc, RateLimited):
        assert exc.retry_after > 0


@EVERY_CASE
async def test_secrets_are_in_no_repr(case: Case) -> None:
    async with opened(case, serving(())) as provider:
        words = f"{provider!r} {provider.options!r} {provider.options} {vars(provider)!r}"
        auth = provider.auth(provider.options, clock)
    for secret in case.secrets:
        assert secret not in words
        assert secret not in repr(auth)


@EVERY_CASE
async def test_secrets_stay_at_home_when_the_system_redirects_or_pages_elsewhere(case: Case) -> None:
    def elsewhere(request: httpx.Request) -> httpx.Response:
        if request.url.host == "elsewhere.example":
            return httpx.Response(200, json=[])
        return httpx.Response(302, headers={"Location": "https://elsewhere.example/landing"})

    transport = Answering(elsewhere)
    for call in basics(case).values():
        async with opened(case, transport) as provider:
            try:
                await result_of(call(provider))
            except BotError:
                continue
    for request in transport.asked:
        if not same_origin(request.url, httpx.URL(case.origin)) and request.url.host == "elsewhere.example":
            carried = f"{request.url} {request.headers.raw!r}"
            assert not [secret for secret in case.secrets if secret in carried]
            assert "authorization" not in request.headers


# listings


@EVERY_CASE
async def test_endless_listings_end(case: Case) -> None:
    assert {"pipelines", "builds"} <= case.endless.keys()
    for name, listing in case.endless.items():
        pages = 0

        def answer(request: httpx.Request, listing: Any = listing, name: str = name) -> httpx.Response:
            nonlocal pages
            pages += 1
            assert pages <= MOST_PAGES, f"{name} does not end"
            page: httpx.Response = listing.page(request, pages)
            return page

        async with opened(case, Answering(answer)) as provider:
            try:
                await result_of(listing.call(provider))
            except BotError as exc:
                pytest.fail(f"{name}: {exc}")
        assert pages > 1, f"{name} did not follow its pages"


@EVERY_CASE
async def test_page_links_to_another_host_are_not_followed(case: Case) -> None:
    for listing in case.endless.values():

        def answer(request: httpx.Request, listing: Any = listing) -> httpx.Response:
            assert request.url.host != "elsewhere.example", "followed a page link to another host"
            page: httpx.Response = listing.page(request, 1)
            link = page.headers.get("link")
            if link is None:
                return httpx.Response(200, json=[])
            host = httpx.URL(case.origin).host
            return httpx.Response(
                200, headers={**page.headers, "link": link.replace(host, "elsewhere.example")}, content=page.content
            )

        async with opened(case, Answering(answer)) as provider:
            try:
                await result_of(listing.call(provider))
            except BotError:
                continue


@EVERY_CASE
async def test_nothing_watched_costs_few_requests(case: Case) -> None:
    transport = Answering(lambda _: httpx.Response(404, json={"message": "not here"}))
    async with opened(case, transport) as provider:
        try:
            changes = await provider.changes(None, Watched(pipelines=frozenset()))
        except BotError:
            return
        assert not changes.builds
    assert len(transport.asked) <= 3


@EVERY_CASE
async def test_a_build_that_is_gone_is_none(case: Case) -> None:
    key = BuildKey(connection=CONNECTION, pipeline=case.pipeline, id=case.build)
    async with opened(case, serving(case.first)) as provider:
        assert await provider.build_or_none(key) is None


@EVERY_CASE
async def test_addresses_of_others_are_no_pages_of_ours(case: Case) -> None:
    async with opened(case, serving(())) as provider:
        for url in ("", "not a url", "https://example.com/", "http://[::1", "https://example.com/a/b/builds/1?x=%zz"):
            assert provider.parse_url(url) is None, url


@EVERY_KIND
def test_methods_have_the_form_of_the_base_class(kind: str) -> None:
    for name in {*OVERRIDES.values(), "check", "pipelines", "pipeline", "builds", "build", "build_by_number"}:
        base, own = getattr(Provider, name), getattr(PROVIDERS[kind], name)
        assert list(inspect.signature(own).parameters) == list(inspect.signature(base).parameters), name
        is_listing = inspect.signature(base).return_annotation in {AsyncIterator, Awaitable}
        assert is_listing or inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(base), name


def test_conclusions_and_statuses_are_our_own_words() -> None:
    assert {one.value for one in Status} & {one.value for one in Conclusion} == set()
