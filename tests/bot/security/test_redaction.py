"""Secrets are masked, and what is none passes unchanged. The secrets are made up, and put together here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.security.redaction import redact

A = "a1B2c3D4e5F6g7H8"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIB" + A * 4 + "\n-----END RSA PRIVATE KEY-----"

SECRETS = {
    "AKIA" + "ABCDEFGH12345678": "AWS key",
    "ghp_" + A * 2: "GitHub token",
    "github_pat_" + A * 3: "GitHub token",
    "glpat-" + A: "GitLab token",
    "glcbt-64_" + A: "GitLab token",
    "xoxb-" + "123456789012-" + A: "Slack token",
    "xoxe.xoxp-1-" + A: "Slack token",
    "xapp-1-" + A: "Slack token",
    "https://hooks.slack.com/services/T000/B000/" + A: "Slack webhook",
    "bkua_" + A * 2: "Buildkite token",
    "CCIPAT_" + A + "_" + A: "CircleCI token",
    "AIza" + A * 2 + "abc": "Google key",
    "ya29." + A * 2: "OAuth token",
    "npm_" + A * 2 + "abcd": "npm token",
    "pypi-" + A * 4: "PyPI token",
    "sk_live_" + A: "Stripe key",
    "SG." + A + "." + A: "SendGrid key",
    "ATATT" + A * 2: "Atlassian token",
    "sk-proj-" + A * 3: "key",
    "eyJ" + A + ".eyJ" + A + "." + A: "JWT",
}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_known_token_is_masked_wherever_it_stands(secret: str) -> None:
    mask = f"[masked: {SECRETS[secret]}]"
    assert redact(f"using {secret} now") == f"using {mask} now"
    assert secret not in redact(f"TOKEN={secret}\n'{secret}'")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"before\n{KEY}\nafter", "before\n[masked: private key]\nafter"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ncut off", "[masked: private key]"),
        ("b" * 40 + "\nccc\n-----END PRIVATE KEY-----\nafter", "[masked: private key]\nafter"),
        ("cloning https://ci:hunter2@git.example/a.git", "cloning https://[masked: credentials]@git.example/a.git"),
        ("postgres://app:p%40ss@db:5432/x", "postgres://[masked: credentials]@db:5432/x"),
        (f"https://{A}@git.example/a", "https://[masked: credentials]@git.example/a"),
        (
            "GET https://files.example/a.ipa?X-Amz-Credential=AB/2026&X-Amz-Signature=99aabb done",
            "GET https://files.example/a.ipa?[masked: signed query] done",
        ),
        ("https://x.blob.example/f?sv=1&sig=abc%3D", "https://x.blob.example/f?[masked: signed query]"),
        (f"Authorization: Bearer {A}", "Authorization: Bearer [masked: credentials]"),
        (f"curl -H 'PRIVATE-TOKEN: {A}' x", "curl -H 'PRIVATE-TOKEN: [masked: credentials]' x"),
        ("Set-Cookie: session=abcdef; Path=/", "Set-Cookie: [masked: credentials]"),
        (f"sent Bearer {A}== twice", "sent Bearer [masked: credentials] twice"),
        ("password=hunter2!x", "password=[masked: secret]"),
        ('DB_PASSWORD: "a b c d"', 'DB_PASSWORD: "[masked: secret]"'),
        ("export CLIENT_SECRET='zzzz9'", "export CLIENT_SECRET='[masked: secret]'"),
        ('{"apiKey":"q1w2e3"}', '{"apiKey":"[masked: secret]"}'),
        ("api_key: q1w2e3r4", "api_key: [masked: secret]"),
        ("fastlane --api-key q1w2e3r4 run", "fastlane --api-key [masked: secret] run"),
        ("deploy --token 'q1w2 e3' run", "deploy --token [masked: secret] run"),
    ],
)
def test_a_secret_is_masked_by_what_stands_around_it(line: str, shown: str) -> None:
    assert redact(line) == shown


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Compiling Lamp.swift",
        "LampTests.swift:88: error: expected 200, got 401",
        "token expired",
        "error: the token is missing",
        "secret: see the wiki for how to ask for one",
        "password: please ask Noor for it",
        "password=$DB_PASSWORD",
        "password=${{ secrets.DB }}",
        "token: <redacted>",
        "API_KEY=********",
        "password: str",
        "password = None",
        "login --password --verbose",
        "deploy --token $TOKEN now",
        "let token = makeToken(for: user)",
        "https://ci.example/builds/412?page=2&per_page=50",
        "fetch https://registry.example/@scope/pkg",
        "at https://host.example:8080/a@b",
        "bearer of bad news",
        "Bearer authentication-is-required",
        "commit 4be1c07f9d3355aa01beef4be1c07f9d3355aa01",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "skip-ci and task-runner",
        "3 tokens parsed in 12 ms",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_an_ordinary_line_is_left_alone(line: str) -> None:
    assert redact(line) == line


WORDS = [
    "error:",
    "warning",
    "Lamp.swift:3",
    "expected",
    "(401)",
    "->",
    "[1/9]",
    "ok",
    "3.4 s",
    "~/src",
    "a=b",
    "x: 1",
    "\n",
]


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_ordinary_output_is_left_alone(words: list[str]) -> None:
    line = " ".join(words)
    assert redact(line) == line


@given(st.text(max_size=200), st.sampled_from(list(SECRETS)), st.text(max_size=200))
def test_nothing_around_a_token_on_lines_of_its_own_brings_it_back(before: str, secret: str, after: str) -> None:
    assert secret not in redact(f"{before}\n{secret}\n{after}")


@given(st.text(alphabet="pasword=:token 'a1/@?\n-", max_size=120))
def test_masking_twice_is_masking_once(line: str) -> None:
    once = redact(line)
    assert redact(once) == once
