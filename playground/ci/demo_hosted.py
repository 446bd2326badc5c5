"""The pipelines of CircleCI, Azure DevOps, Bitbucket and Travis CI as they are defined at the start, without builds."""

from playground.ci.demo_repos import STEADY, E, F, O, P, T, W, demo_repo, test_classes
from playground.ci.model import ApprovalKind, Field, Pipeline, Source, Step
from playground.ci.simulation import Simulation


def hosted_pipelines(simulation: Simulation) -> list[Pipeline]:
    """Return the pipelines of these systems. The people who commit must be known already."""
    return [
        *_circleci(simulation),
        *_azure_devops(simulation),
        *_bitbucket(simulation),
        *_travis(simulation),
    ]


def _circleci(simulation: Simulation) -> list[Pipeline]:
    return [
        Pipeline(
            system="circleci",
            path="gh/acme/payments",
            name="payments",
            number=301,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "payments", topics=("sepa", "three-d-secure")),
            language="ruby",
            test_classes=test_classes("_spec.rb", "spec", "payment", "refund", "webhook"),
            pattern=(P, P, T, P, F, P, P, T, P, P, P, P),
            weights=STEADY,
            sources=(Source.PUSH, Source.PUSH, Source.PULL),
            parameters=(
                Field(key="suite", label="Which tests to run", options=("quick", "full"), default="quick"),
                Field(key="seed", label="Seed of the tests' order", default="1"),
            ),
            steps=(
                Step(name="lint", stage="check", seconds=(4, 7), command="bundle exec rubocop", warnings=2),
                Step(
                    name="build",
                    stage="check",
                    seconds=(7, 12),
                    command="bundle exec rake build",
                    artifacts=("pkg/payments-{sha}.gem",),
                ),
                Step(
                    name="test",
                    stage="test",
                    seconds=(10, 18),
                    command="bundle exec rspec",
                    tests=46,
                    artifacts=("reports/rspec.xml", "reports/coverage.html"),
                ),
            ),
        ),
        Pipeline(
            system="circleci",
            path="gh/acme/payments-infra",
            name="payments-infra",
            number=302,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "payments-infra", topics=("eu-region",)),
            language="go",
            test_classes=test_classes("_test.go", "internal", "plan", "drift"),
            pattern=(P, P, P, F, P, P, P, P, E, P, P, P),
            weights={P: 86, F: 12, O: 2},
            sources=(Source.PUSH, Source.SCHEDULE),
            steps=(
                Step(name="plan", stage="plan", seconds=(6, 11), command="terraform plan", artifacts=("plan.txt",)),
                Step(
                    name="hold-for-production",
                    stage="hold",
                    approval=ApprovalKind.INSTANT,
                    prompt="Apply this plan to production?",
                ),
                Step(name="apply", stage="apply", seconds=(6, 11), command="terraform apply"),
            ),
        ),
    ]


def _azure_devops(simulation: Simulation) -> list[Pipeline]:
    repo = demo_repo(simulation, "acme", "atlas", topics=("map-tiles", "offline-search"))
    classes = test_classes(".java", "src/test/java/atlas", "RouteTests", "TileTests")
    return [
        Pipeline(
            system="azure_devops",
            path="Atlas/atlas-api",
            name="atlas-api",
            number=41,
            uid=simulation.uid(),
            repo=repo,
            language="java",
            test_classes=classes,
            pattern=(P, P, T, P, W, P, P, F, P, T, P, P),
            weights=STEADY,
            sources=(Source.PUSH, Source.PULL),
            parameters=(
                Field(key="configuration", label="Configuration", default="Release"),
                Field(key="runSlowTests", label="Slow tests, too", default="false"),
            ),
            steps=(
                Step(
                    name="Build",
                    stage="Build",
                    seconds=(7, 12),
                    command="mvn -B package",
                    warnings=3,
                    analyzer_warnings=1,
                    artifacts=("drop:drop.zip",),
                ),
                Step(name="Style", stage="Build", seconds=(4, 7), command="mvn checkstyle:check", tolerated=True),
                Step(
                    name="Tests",
                    stage="Test",
                    seconds=(10, 18),
                    command="mvn -B verify",
                    tests=42,
                    artifacts=("coverage:coverage.zip",),
                ),
            ),
        ),
        Pipeline(
            system="azure_devops",
            path="Atlas/atlas-release",
            name="atlas-release",
            number=42,
            group="release",
            uid=simulation.uid(),
            repo=repo,
            language="java",
            test_classes=classes,
            pattern=(P, P, P, F, P, P, P, P, P, E, P, P),
            weights={P: 88, F: 12},
            sources=(Source.PUSH, Source.WEB),
            steps=(
                Step(
                    name="Package",
                    stage="Package",
                    seconds=(6, 11),
                    command="mvn -B package",
                    artifacts=("image:image.zip",),
                ),
                Step(name="Staging", stage="Staging", seconds=(5, 9), command="bin/deploy staging"),
                Step(
                    name="Production",
                    stage="Production",
                    seconds=(6, 11),
                    command="bin/deploy production",
                    approval=ApprovalKind.MANUAL,
                    prompt="Staging looks right?",
                ),
            ),
        ),
    ]


def _bitbucket(simulation: Simulation) -> list[Pipeline]:
    return [
        Pipeline(
            system="bitbucket",
            path="beacon-web",
            name="beacon-web",
            number=51,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "beacon-web", topics=("push-messages", "signup")),
            language="typescript",
            test_classes=test_classes(".test.ts", "tests", "signup", "inbox", "settings"),
            pattern=(P, T, P, P, F, P, P, P, T, P, P, P),
            weights=STEADY,
            sources=(Source.PUSH, Source.PULL, Source.SCHEDULE),
            parameters=(
                Field(key="SUITE", label="Which tests to run", options=("quick", "full"), default="quick"),
                Field(key="BROWSER", label="Browser", default="firefox"),
            ),
            steps=(
                Step(name="Build", stage="build", seconds=(6, 11), command="npm run build"),
                Step(name="Unit tests", stage="test", seconds=(9, 16), command="npm test", tests=38),
                Step(
                    name="Static analysis", stage="test", seconds=(5, 9), command="npx semgrep ci", analyzer_warnings=2
                ),
            ),
        ),
        Pipeline(
            system="bitbucket",
            path="beacon-deploy",
            name="beacon-deploy",
            number=52,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "beacon-deploy", topics=("canary",)),
            language="typescript",
            test_classes=test_classes(".test.ts", "tests", "rollout"),
            pattern=(P, P, P, P, F, P, P, P, E, P, P, P),
            weights={P: 88, F: 10, E: 2},
            sources=(Source.PUSH, Source.WEB),
            steps=(
                Step(name="Deploy to staging", stage="staging", seconds=(6, 11), command="bin/deploy staging"),
                Step(
                    name="Deploy to production",
                    stage="production",
                    seconds=(6, 11),
                    command="bin/deploy production",
                    approval=ApprovalKind.MANUAL,
                    prompt="Staging looks right?",
                ),
            ),
        ),
    ]


def _travis(simulation: Simulation) -> list[Pipeline]:
    return [
        Pipeline(
            system="travis",
            path="acme/harbor",
            name="harbor",
            number=61,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "harbor", topics=("ipv6", "tls-reload")),
            language="go",
            test_classes=test_classes("_test.go", "pkg", "dock", "tide", "crane"),
            pattern=(P, P, T, P, P, F, P, W, P, T, P, P),
            weights=STEADY,
            sources=(Source.PUSH, Source.PULL, Source.SCHEDULE),
            steps=(
                Step(name="Vet", stage="Test", seconds=(4, 8), command="go vet ./...", warnings=1),
                Step(name="Go 1.24", stage="Test", seconds=(10, 18), command="go test ./...", tests=33),
                Step(name="Go tip", stage="Test", seconds=(10, 18), command="go test ./...", tolerated=True),
                Step(name="Release snapshot", stage="Release", seconds=(6, 11), command="goreleaser --snapshot"),
            ),
        ),
        Pipeline(
            system="travis",
            path="acme/harbor-docs",
            name="harbor-docs",
            number=62,
            uid=simulation.uid(),
            repo=demo_repo(simulation, "acme", "harbor-docs", topics=("quickstart",)),
            language="typescript",
            test_classes=test_classes(".test.ts", "tests", "links"),
            pattern=(P, P, P, P, P, F, P, P, P, P, P, P),
            weights={P: 92, F: 8},
            steps=(Step(name="Build the site", stage="Test", seconds=(8, 14), command="make html", warnings=1),),
        ),
    ]
