"""The repositories and pipelines of the local CI systems as they are defined at the start, without builds."""

from playground.ci.demo_hosted import hosted_pipelines
from playground.ci.demo_repos import SHAKY, STEADY, E, F, O, P, T, W, demo_repo, test_classes
from playground.ci.model import ApprovalKind, Field, Pipeline, Source, Step
from playground.ci.simulation import Simulation


def demo_pipelines(simulation: Simulation) -> list[Pipeline]:
    """Return the pipelines of all local CI systems, without builds. The people who commit must be known already."""
    return [
        *_buildkite(simulation),
        *_xcode_cloud(simulation),
        *_gitlab(simulation),
        *_gitlab_v3(simulation),
        *_github_actions(simulation),
        *_jenkins(simulation),
        *hosted_pipelines(simulation),
    ]


def _buildkite(simulation: Simulation) -> list[Pipeline]:
    web = demo_repo(simulation, "demo", "web", topics=("checkout", "dark-mode"))
    classes = test_classes(".test.ts", "src", "basket", "session", "price", "search")
    return [
        Pipeline(
            system="buildkite",
            path="web",
            name="Web",
            number=1,
            uid=simulation.uid(),
            repo=web,
            language="typescript",
            test_classes=classes,
            pattern=(P, P, T, P, W, P, F, P, P, T, T, P),
            weights=STEADY,
            sources=(Source.PUSH, Source.PUSH, Source.PULL),
            steps=(
                Step(
                    name=":eslint: Lint", stage="check", seconds=(3, 6), command="pnpm lint", tolerated=True, warnings=2
                ),
                Step(
                    name=":package: Build",
                    stage="check",
                    seconds=(8, 13),
                    command="pnpm build",
                    warnings=3,
                    artifacts=("dist/web-{sha}.zip", "dist/stats.json"),
                ),
                Step(
                    name=":jest: Unit tests",
                    stage="test",
                    seconds=(9, 16),
                    command="pnpm test",
                    tests=48,
                    artifacts=("reports/junit.xml",),
                ),
                Step(
                    name=":globe_with_meridians: Browser tests",
                    stage="test",
                    seconds=(12, 22),
                    command="pnpm e2e",
                    tests=14,
                ),
            ),
        ),
        Pipeline(
            system="buildkite",
            path="deploy",
            name="Deploy",
            number=2,
            uid=simulation.uid(),
            repo=web,
            language="typescript",
            test_classes=classes,
            pattern=(P, P, P, F, P, P, P, P, E, P, P, P),
            weights={P: 85, F: 12, E: 3},
            sources=(Source.PUSH, Source.WEB),
            steps=(
                Step(
                    name=":docker: Build image",
                    stage="build",
                    seconds=(8, 14),
                    command="docker build .",
                    artifacts=("image/digest.txt",),
                ),
                Step(name=":rocket: Deploy to staging", stage="staging", seconds=(5, 9), command="bin/deploy staging"),
                Step(
                    name="Deploy to production",
                    stage="approval",
                    approval=ApprovalKind.INSTANT,
                    prompt="Staging looks right?",
                    fields=(
                        Field(
                            key="region",
                            label="Region",
                            options=("eu-west-1", "us-east-1", "all"),
                            default="eu-west-1",
                            required=True,
                        ),
                        Field(key="release-notes", label="Release notes"),
                    ),
                ),
                Step(name=":rocket: Deploy", stage="production", seconds=(6, 12), command="bin/deploy production"),
            ),
        ),
        Pipeline(
            system="buildkite",
            path="flaky-tests",
            name="Flaky tests",
            number=3,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "demo", "flaky", topics=("quarantine",)),
            language="ruby",
            test_classes=test_classes("_spec.rb", "spec", "importer", "mailer", "clock"),
            pattern=(T, P, P, T, P, T, T, P, O, P, T, P),
            weights=SHAKY,
            steps=(
                Step(name="Prepare", stage="prepare", seconds=(3, 6), command="bundle install", warnings=1),
                Step(
                    name=":rspec: RSpec 1/2", stage="test", seconds=(12, 24), command="bin/rspec --slice 1/2", tests=31
                ),
                Step(
                    name=":rspec: RSpec 2/2", stage="test", seconds=(12, 24), command="bin/rspec --slice 2/2", tests=29
                ),
            ),
        ),
    ]


def _xcode_cloud(simulation: Simulation) -> list[Pipeline]:
    repo = demo_repo(simulation, "acme", "aurora-ios", topics=("widgets", "passkeys", "live-activities"))
    classes = test_classes(".swift", "AuroraTests", "BasketTests", "LoginTests", "MoneyTests", "SearchTests")
    build = Step(
        name="Build - iOS",
        stage="actions",
        kind="BUILD",
        seconds=(15, 28),
        command="xcodebuild build",
        warnings=5,
        artifacts=("LOG_BUNDLE:Aurora Build {number} Logs for Aurora build.zip",),
    )
    test = Step(
        name="Test - iOS",
        stage="actions",
        kind="TEST",
        seconds=(22, 40),
        command="xcodebuild test",
        tests=64,
        warnings=2,
        artifacts=(
            "LOG_BUNDLE:Aurora Build {number} Logs for Aurora test.zip",
            "RESULT_BUNDLE:Aurora Build {number} Test Results.xcresult.zip",
            "TEST_PRODUCTS:Aurora Build {number} Test Products.zip",
        ),
    )
    analyze = Step(
        name="Analyze - iOS",
        stage="actions",
        kind="ANALYZE",
        seconds=(12, 20),
        command="xcodebuild analyze",
        analyzer_warnings=1,
        tolerated=True,
        artifacts=("LOG_BUNDLE:Aurora Build {number} Logs for Aurora analyze.zip",),
    )
    archive = Step(
        name="Archive - iOS",
        stage="actions",
        kind="ARCHIVE",
        seconds=(25, 45),
        command="xcodebuild archive",
        warnings=4,
        artifacts=(
            "LOG_BUNDLE:Aurora Build {number} Logs for Aurora archive.zip",
            "ARCHIVE:Aurora.xcarchive.zip",
            "ARCHIVE_EXPORT:Aurora Build {number} app-store.zip",
        ),
    )
    rows = (
        ("Nightly", (build, test, analyze), (P, P, T, P, W, P, P, T, P, P, E, P), (Source.SCHEDULE,)),
        ("Pull Requests", (build, test), (P, T, P, P, F, P, T, P, P, W, P, T), (Source.PULL,)),
        ("Release", (archive, test), (P, P, P, F, P, P, P, P, T, P, P, P), (Source.PUSH,)),
    )
    return [
        Pipeline(
            system="xcode_cloud",
            path=f"Aurora iOS/{name}",
            name=name,
            group="Aurora iOS",
            counter="xcode_cloud/Aurora iOS",
            number=index + 1,
            uid=simulation.uid(),
            repo=repo,
            language="swift",
            test_classes=classes,
            pattern=pattern,
            weights=STEADY,
            sources=sources,
            steps=steps,
        )
        for index, (name, steps, pattern, sources) in enumerate(rows)
    ]


def _gitlab(simulation: Simulation) -> list[Pipeline]:
    return [
        Pipeline(
            system="gitlab",
            path="acme/backend",
            name="backend",
            number=21,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "backend", topics=("invoices", "rate-limits")),
            language="ruby",
            test_classes=test_classes("_spec.rb", "spec/models", "invoice", "charge", "customer"),
            pattern=(P, P, T, T, P, P, W, P, F, P, P, T),
            weights=STEADY,
            sources=(Source.PUSH, Source.PUSH, Source.PULL, Source.SCHEDULE),
            steps=(
                Step(name="compile", stage="build", seconds=(6, 11), command="make build", warnings=2),
                Step(name="lint", stage="test", seconds=(4, 8), command="rubocop", tolerated=True, warnings=2),
                Step(
                    name="rspec",
                    stage="test",
                    seconds=(14, 26),
                    command="bundle exec rspec",
                    tests=52,
                    artifacts=("junit:junit.xml.gz", "archive:artifacts.zip"),
                ),
                Step(
                    name="review app",
                    stage="deploy",
                    seconds=(5, 9),
                    command="bin/review",
                    approval=ApprovalKind.OPTIONAL,
                ),
                Step(
                    name="package",
                    stage="deploy",
                    seconds=(5, 9),
                    command="make package",
                    artifacts=("archive:artifacts.zip",),
                ),
            ),
        ),
        Pipeline(
            system="gitlab",
            path="acme/api-gateway",
            name="api-gateway",
            number=22,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "api-gateway", topics=("mtls",)),
            language="go",
            test_classes=test_classes("_test.go", "internal", "limiter", "proxy", "router"),
            pattern=(P, P, P, P, T, P, P, F, P, P, P, P),
            weights=STEADY,
            steps=(
                Step(name="build", stage="build", seconds=(7, 12), command="go build ./...", warnings=1),
                Step(
                    name="test",
                    stage="test",
                    seconds=(9, 17),
                    command="go test ./...",
                    tests=37,
                    artifacts=("junit:junit.xml.gz", "archive:artifacts.zip"),
                ),
                Step(name="deploy:staging", stage="staging", seconds=(5, 9), command="bin/deploy staging"),
                Step(
                    name="deploy:production",
                    stage="production",
                    seconds=(6, 11),
                    command="bin/deploy production",
                    approval=ApprovalKind.MANUAL,
                ),
            ),
        ),
    ]


def _gitlab_v3(simulation: Simulation) -> list[Pipeline]:
    return [
        Pipeline(
            system="gitlab_v3",
            path="legacy/monolith",
            name="monolith",
            number=7,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "legacy", "monolith", default="master", topics=("soap",)),
            language="java",
            test_classes=test_classes(".java", "src/test/java/demo", "OrderServiceTest", "StockTest"),
            pattern=(P, F, P, P, P, T, P, P, P, F, F, P),
            weights=STEADY,
            steps=(
                Step(name="compile", stage="build", seconds=(8, 14), command="mvn compile", warnings=4),
                Step(
                    name="unit",
                    stage="test",
                    seconds=(12, 20),
                    command="mvn test",
                    tests=40,
                    artifacts=("archive:artifacts.zip",),
                ),
                Step(name="checkstyle", stage="test", seconds=(4, 8), command="mvn checkstyle:check"),
                Step(
                    name="package",
                    stage="package",
                    seconds=(6, 10),
                    command="mvn package",
                    artifacts=("archive:artifacts.zip",),
                ),
            ),
        )
    ]


def _github_actions(simulation: Simulation) -> list[Pipeline]:
    repo = demo_repo(simulation, "acme", "storefront", topics=("gift-cards", "checkout-v2"))
    classes = test_classes(".test.ts", "tests", "cart", "account", "catalog")
    return [
        Pipeline(
            system="github_actions",
            path="acme/storefront/ci.yml",
            name="CI",
            number=5101,
            uid=simulation.uid(),
            repo=repo,
            language="typescript",
            test_classes=classes,
            pattern=(P, P, T, P, P, F, P, W, P, P, T, P),
            weights=STEADY,
            sources=(Source.PUSH, Source.PULL),
            steps=(
                Step(name="lint", stage="all", seconds=(5, 9), command="npm run lint", tolerated=True, warnings=3),
                Step(
                    name="test (20)",
                    stage="all",
                    seconds=(14, 24),
                    command="npm test",
                    tests=35,
                    artifacts=("report-20:report.zip",),
                ),
                Step(
                    name="test (22)",
                    stage="all",
                    seconds=(14, 24),
                    command="npm test",
                    tests=35,
                    artifacts=("report-22:report.zip",),
                ),
                Step(
                    name="build",
                    stage="build",
                    seconds=(8, 14),
                    command="npm run build",
                    warnings=1,
                    artifacts=("bundle:bundle.zip",),
                ),
            ),
        ),
        Pipeline(
            system="github_actions",
            path="acme/storefront/deploy.yml",
            name="Deploy",
            number=5102,
            uid=simulation.uid(),
            repo=repo,
            language="typescript",
            test_classes=classes,
            pattern=(P, P, P, P, F, P, P, P, P, P, P, P),
            weights={P: 88, F: 12},
            sources=(Source.PUSH, Source.WEB),
            steps=(
                Step(
                    name="build",
                    stage="build",
                    seconds=(8, 14),
                    command="npm run build",
                    artifacts=("bundle:bundle.zip",),
                ),
                Step(
                    name="deploy",
                    stage="deploy",
                    seconds=(8, 14),
                    command="npm run deploy",
                    approval=ApprovalKind.MANUAL,
                    prompt="production",
                ),
            ),
        ),
    ]


def _jenkins(simulation: Simulation) -> list[Pipeline]:
    classes = test_classes(".java", "src/test/java/demo", "demo.orders.OrderTest", "demo.stock.StockTest")
    return [
        Pipeline(
            system="jenkins",
            path="nightly-regression",
            name="nightly-regression",
            number=1,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "orders", topics=("refunds",)),
            language="java",
            test_classes=classes,
            pattern=(P, T, P, P, T, T, P, P, W, P, P, T),
            weights=STEADY,
            sources=(Source.SCHEDULE, Source.PUSH),
            steps=(
                Step(name="Checkout", stage="Checkout", seconds=(2, 4), command="git fetch"),
                Step(name="Build", stage="Build", seconds=(8, 14), command="mvn -B package", warnings=3),
                Step(
                    name="Test",
                    stage="Test",
                    seconds=(14, 26),
                    command="mvn -B verify",
                    tests=44,
                    artifacts=("target/report.html",),
                ),
            ),
        ),
        Pipeline(
            system="jenkins",
            path="release/publish",
            name="publish",
            group="release",
            number=2,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "publisher", topics=("signing",)),
            language="java",
            test_classes=classes,
            pattern=(P, P, P, F, P, P, P, P, P, P, F, P),
            weights={P: 88, F: 12},
            steps=(
                Step(name="Checkout", stage="Checkout", seconds=(2, 4), command="git fetch"),
                Step(
                    name="Package",
                    stage="Package",
                    seconds=(8, 14),
                    command="mvn -B package",
                    artifacts=("target/app.zip",),
                ),
                Step(
                    name="Approve",
                    stage="Approve",
                    approval=ApprovalKind.INSTANT,
                    prompt="Publish to the store?",
                    fields=(Field(key="CHANNEL", label="Channel", options=("beta", "stable"), default="beta"),),
                ),
                Step(name="Publish", stage="Publish", seconds=(5, 9), command="bin/publish"),
            ),
        ),
        Pipeline(
            system="jenkins",
            path="docs",
            name="docs",
            number=3,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "docs", topics=("search",)),
            language="typescript",
            test_classes=classes,
            pattern=(P, P, P, P, P, F, P, P, P, P, P, P),
            weights={P: 92, F: 8},
            steps=(
                Step(
                    name="docs",
                    stage="docs",
                    seconds=(15, 25),
                    command="make html",
                    warnings=2,
                    artifacts=("site/index.html",),
                ),
            ),
        ),
    ]
