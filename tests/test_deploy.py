"""What is shipped to run the bot with: the image, compose, systemd, Kubernetes, proxies, alerts and the dashboard.

Where a checker (hadolint, systemd-analyze, kubernetes-validate, nginx, caddy, promtool) is on the machine it is asked, too; what is read here holds without.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from bot.__main__ import cli
from bot.core import errors
from bot.metrics import Metrics
from bot.notifications.notification import Outcome
from bot.providers import PROVIDERS
from bot.settings import ENVIRONMENT, Settings
from tests.chromium import IN_CI

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
NAMES = {*ENVIRONMENT, *(f"{name}_FILE" for name in ENVIRONMENT), "BUILDBELL_CONFIG"}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MOST_EXPOSED = 1.5  # of ten, as systemd-analyze counts
PYTHON_OWN = {"PYTHONUNBUFFERED"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def checked(*words: str, cwd: Path = ROOT) -> str:
    """Run a checker and return what it says; it must be content."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - checkers found on this machine
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def program(name: str) -> str:
    """Return a checker's path, beside this Python or on the path; skip the test without it."""
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on this machine")
    return path


def assert_is_a_command(words: list[str]) -> None:
    """Check that `buildbell` takes these words, without running them."""
    click_command = typer.main.get_command(cli)
    context = click_command.make_context("buildbell", list(words), resilient_parsing=True)
    name, command, rest = click_command.resolve_command(context, list(words))  # type: ignore[attr-defined]
    assert name == words[0]
    command.make_context(name, rest)


# the image


def instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with its words, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", read("Dockerfile"))
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines)]


def last_stage() -> list[tuple[str, str]]:
    every = instructions()
    start = max(at for at, (word, _rest) in enumerate(every) if word == "FROM")
    return every[start:]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert checked(program("hadolint"), "--no-color", "Dockerfile") == ""


def test_hadolint_is_there_in_ci() -> None:
    if IN_CI:
        assert shutil.which("hadolint", path=str(Path(sys.executable).parent))


def test_the_image_ends_as_somebody_without_rights_and_tells_its_health() -> None:
    stage = dict(last_stage())
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", stage["USER"])
    assert "/healthz" in stage["HEALTHCHECK"]
    assert json.loads(stage["ENTRYPOINT"]) == ["buildbell"]
    assert_is_a_command(json.loads(stage["CMD"]))
    assert stage["EXPOSE"] == str(Settings.model_fields["port"].default)
    assert [rest for word, rest in last_stage() if word == "COPY"] == ["--from=build /opt/buildbell /opt/buildbell"]


def test_nothing_is_installed_into_the_image_without_a_hash() -> None:
    commands = [command for word, rest in instructions() if word == "RUN" for command in rest.split("&&")]
    installs = [command for command in commands if re.search(r"\bpip\b.* install|npm|apt-get|curl|wget", command)]
    assert len(installs) == 4
    for command in installs:
        if "npm" not in command:
            assert "--require-hashes" in command or "--no-index" in command, command
        else:
            assert "npm ci" in command


def test_images_are_named_without_a_registry() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    services = yaml.safe_load(read("compose.yaml"))["services"].values()
    pods = [item["spec"]["template"]["spec"] for item in kubernetes("Deployment")]
    used = [container["image"] for pod in pods for container in (*pod["initContainers"], *pod["containers"])]
    for image in (*bases, *(service["image"] for service in services), *used):
        assert re.fullmatch(r"[a-z]+:[0-9][\w.-]*", image), image


def test_the_image_sees_what_it_is_built_from_and_no_more() -> None:
    allowed = {line.removeprefix("!") for line in read(".dockerignore").splitlines() if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert {source for source in copied if not any(Path(source).is_relative_to(name) for name in allowed)} == set()
    assert {name for name in allowed if not any(Path(source).is_relative_to(name) for source in copied)} == set()
    assert all((ROOT / source).exists() for source in copied)


def pins(name: str) -> dict[str, set[str]]:
    """Every pinned package of a lock with its hashes."""
    found: dict[str, set[str]] = {}
    for stanza in re.split(r"\n(?=\S)", read(name).strip()):
        package = re.match(r"([\w.-]+==\S+)", stanza)
        assert package, stanza
        found[package[1]] = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", stanza))
    return found


@pytest.mark.parametrize("name", ["deploy/runtime.lock", "deploy/build.lock"])
def test_the_images_locks_pin_what_the_tests_ran_with(name: str) -> None:
    every = pins("requirements.lock")
    locked = pins(name)
    assert locked
    assert all(locked.values())
    assert locked == {package: every[package] for package in locked}


def test_the_runtime_lock_holds_every_dependency_and_no_tool_of_the_tests() -> None:
    tables = tomllib.loads(read("pyproject.toml"))
    extras = tables["project"]["optional-dependencies"]
    needed = [*tables["project"]["dependencies"], *extras["mcp"], *extras["postgres"]]
    names = {re.split(r"[\[<>=;]", requirement)[0].lower() for requirement in needed}
    locked = {package.partition("==")[0] for package in pins("deploy/runtime.lock")}
    assert names - locked == set()
    assert locked & {"pytest", "mypy", "ruff", "playwright", "hatchling"} == set()


# compose


def test_compose_migrates_first_and_serves_with_secrets_from_files() -> None:
    compose = yaml.safe_load(read("compose.yaml"))
    services = compose["services"]
    assert set(services) == {"db", "migrate", "web", "worker"}
    for name in ("migrate", "web", "worker"):
        service = services[name]
        assert_is_a_command(service["command"])
        assert set(service["environment"]) <= NAMES
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        for setting, value in service["environment"].items():
            if setting.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
            else:
                assert "SECRET" not in setting
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["db"] == {"condition": "service_healthy"}
    assert services["migrate"]["restart"] == "no"
    used = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])
    assert all(f"secrets/{name}" in read("docs/deploy.md") for name in used)
    assert {mount.split(":")[0] for mount in services["db"]["volumes"]} == set(compose["volumes"])


def read_with_files(environment: dict[str, str], folder: Path) -> Settings:
    """Read the settings as a container would, every file that the environment names being there."""
    values: dict[str, str] = {}
    for name, value in environment.items():
        if name.endswith("_FILE"):
            text = f"1:{'A' * 43}=" if "KEYS" in name else "postgresql://b@db/b" if "DATABASE" in name else "secret"
            (folder / name).write_text(f"{text}\n")
        values[name] = str(folder / name) if name.endswith("_FILE") else value
    config = folder / "buildbell.toml"
    config.write_text("")
    return Settings.read(
        {**values, "BUILDBELL_CONFIG": str(config), "PUBLIC_URL": "https://b.example.com", "LOG_LEVEL": ""}
    )


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_a_service_of_compose_has_all_it_needs(name: str, tmp_path: Path) -> None:
    settings = read_with_files(yaml.safe_load(read("compose.yaml"))["services"][name]["environment"], tmp_path)
    assert settings.problems_for_serving(web=name == "web") == []
    assert settings.database_url == "postgresql://b@db/b"
    assert settings.health_port == (3000 if name == "worker" else None)


def test_a_pod_has_all_it_needs(tmp_path: Path) -> None:
    [deployment] = kubernetes("Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    settings = read_with_files({item["name"]: item["value"] for item in container["env"]}, tmp_path)
    assert settings.problems_for_serving(web=True) == []
    assert settings.database_url == "postgresql://b@db/b"


def test_what_compose_mounts_is_readable_for_the_containers_user_and_nobody_else() -> None:
    """Containers keep the modes of what is mounted: a folder of its owner alone shuts the bot out."""
    [steps] = [
        block
        for block in re.findall(r"```\n(.*?)```", read("docs/deploy.md"), re.DOTALL)
        if "secrets/database_url" in block
    ]
    assert steps.startswith("chmod 700 .\nmkdir secrets config\n")
    assert "chmod 755 config && chmod 644 secrets/* config/*" in steps


def test_secrets_and_configuration_of_a_deployment_are_never_committed() -> None:
    ignored = read(".gitignore").splitlines()
    assert {"/secrets/", "/config/", ".env", "buildbell.toml"} <= set(ignored)


# systemd


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_run_commands_that_exist_and_stay_in_their_folder(unit: Path) -> None:
    lines = [line for line in unit.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#")]
    pairs = [(name, value) for name, _, value in (line.partition("=") for line in lines)]
    values = dict(pairs)
    program_path, *words = shlex.split(values["ExecStart"])
    assert program_path == "/opt/buildbell/bin/buildbell"
    assert_is_a_command(words)
    named = {pair.partition("=")[0] for name, value in pairs if name == "Environment" for pair in value.split()}
    assert named <= NAMES | PYTHON_OWN
    assert values["User"] == "buildbell"
    assert values["ProtectSystem"] == "strict"
    assert values["StateDirectory"] == "buildbell"
    for requirement in values.get("Requires", "").split():
        assert (unit.parent / requirement).exists()
        assert requirement in values["After"].split()


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units_and_counts_them_as_confined(unit: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for each in UNITS:  # the program is not installed on this machine
        text = each.read_text(encoding="utf-8").replace("/opt/buildbell/bin/buildbell", "/bin/true")
        (tmp_path / each.name).write_text(text)
    assert checked(analyze, "verify", str(tmp_path / unit.name)) == ""
    judged = checked(analyze, "security", "--offline=true", "--no-pager", str(tmp_path / unit.name))
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged)
    assert exposure, judged
    assert float(exposure[1]) <= MOST_EXPOSED


def test_the_example_of_the_environment_names_settings_that_exist_and_is_read() -> None:
    lines = [line for line in read("deploy/systemd/buildbell.env.example").splitlines() if line and line[0] != "#"]
    values = dict(line.split("=", 1) for line in lines)
    assert set(values) <= NAMES
    settings = Settings.read({**values, "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"}, folder=DEPLOY)
    assert settings.problems_for_serving(web=True) == []


# Kubernetes


def kubernetes(kind: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(read("deploy/kubernetes.yaml")) if item and item["kind"] == kind]


def test_pods_are_confined_probed_and_keep_secrets_in_files() -> None:
    [deployment] = kubernetes("Deployment")
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] >= 2
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert str(pod["securityContext"]["runAsUser"]) == dict(last_stage())["USER"].split(":")[0]
    assert pod["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert_is_a_command(container["args"])
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        environment = {item["name"]: item["value"] for item in container["env"]}
        assert set(environment) <= NAMES
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        for name, value in environment.items():
            if name.endswith("_FILE"):
                assert any(Path(value).is_relative_to(path) for path in mounted)
                assert f"{Path(value).name}" in read("docs/deploy.md")
    [container] = pod["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_the_schemas_of_kubernetes_take_the_example() -> None:
    checked(program("kubernetes-validate"), "--strict", "--quiet", "deploy/kubernetes.yaml")


def test_the_service_the_budget_and_the_spread_choose_the_pods() -> None:
    [deployment] = kubernetes("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    [service], [budget], [ingress] = kubernetes("Service"), kubernetes("PodDisruptionBudget"), kubernetes("Ingress")
    assert service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]
    paths = [path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert sorted(paths) == ["/hooks", "/slack"]


def test_the_configuration_of_the_example_is_read(tmp_path: Path) -> None:
    [configuration] = kubernetes("ConfigMap")
    text = configuration["data"]["buildbell.toml"]
    files = re.findall(r'_file = "([^"]+)"', text)
    assert files
    for number, name in enumerate(files):
        (tmp_path / str(number)).write_text("s")
        text = text.replace(name, str(number))
    (tmp_path / "buildbell.toml").write_text(text)
    settings = Settings.read({}, folder=tmp_path)
    assert {options["kind"] for options in settings.connections.values()} <= set(PROVIDERS)


# proxies


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_proxies_let_through_what_slack_and_ci_systems_need_and_keep_the_rest_inside(name: str) -> None:
    text = read(f"deploy/proxy/{name}")
    assert "/slack/" in text
    assert "/hooks/" in text
    assert "404" in text
    assert not re.search(r"(metrics|readyz|healthz)", re.sub(r"#.*", "", text))


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    nginx, openssl = program("nginx"), program("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    checked(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=builds.example.com", "-days", "1",
            "-keyout", str(key), "-out", str(certificate))  # fmt: skip
    site = read("deploy/proxy/nginx.conf").replace(
        "/etc/letsencrypt/live/builds.example.com/fullchain.pem", str(certificate)
    )
    site = site.replace("/etc/letsencrypt/live/builds.example.com/privkey.pem", str(key))
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off;\n{site}\n}}")
    assert "test is successful" in checked(nginx, "-t", "-p", str(tmp_path), "-c", str(whole))


def test_caddy_takes_its_configuration() -> None:
    adapted = checked(program("caddy"), "adapt", "--config", "deploy/proxy/Caddyfile", "--adapter", "caddyfile")
    assert "reverse_proxy" in adapted


def test_the_procfile_starts_what_exists() -> None:
    for line in read("Procfile").splitlines():
        _name, _, command = line.partition(": ")
        program_name, *words = shlex.split(command)
        assert program_name == "buildbell"
        assert_is_a_command(words)


# monitoring


PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def metric_names() -> set[str]:
    """Every name under which /metrics reports something."""
    metrics = Metrics.make().registry.collect()
    return {f"{metric.name}{part}" for metric in metrics for part in PARTS[metric.type]}


def expressions() -> list[str]:
    rules = yaml.safe_load(read("deploy/monitoring/alerts.yml"))
    board = json.loads(read("deploy/monitoring/dashboard.json"))
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in board["panels"] for target in panel["targets"]),
        *(str(variable["query"]) for variable in board["templating"]["list"]),
    ]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_panels_name_metrics_and_outcomes_that_exist(expression: str) -> None:
    assert set(re.findall(r"\bbuildbell_\w+", expression)) <= metric_names()
    outcomes = {"ok", "timeout", *(name for name in vars(errors) if name[0].isupper()), *Outcome}
    named = re.findall(r'outcome(?:!=|=~?)"([\w|]+)"', expression)
    assert {outcome for names in named for outcome in names.split("|")} <= outcomes


def test_every_metric_is_on_the_dashboard_and_in_the_operations_page() -> None:
    page, shown = read("docs/operations.md"), " ".join(expressions())
    for metric in Metrics.make().registry.collect():
        assert metric.name in shown
        assert metric.name in page


def test_the_alerts_fire_on_what_they_are_about() -> None:
    promtool = program("promtool")
    checked(promtool, "check", "rules", "deploy/monitoring/alerts.yml")
    checked(promtool, "test", "rules", "alerts_test.yml", cwd=DEPLOY / "monitoring")


def test_every_alert_is_tested() -> None:
    rules = yaml.safe_load(read("deploy/monitoring/alerts.yml"))
    tests = yaml.safe_load(read("deploy/monitoring/alerts_test.yml"))
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired = {case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == names
