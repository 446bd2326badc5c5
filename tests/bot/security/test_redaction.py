"""Secrets are masked, and what is none passes unchanged. The secrets are made up, and put together here.

`TABLE` is the list of what the redactor knows: for each kind a line with a secret, and near misses that must stay
readable. It grows with every kind that somebody meets in a log.
"""

from dataclasses import dataclass

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


HEX = "0123456789abcdef"
B64 = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A"
W = "q7Lw9Zt2Kx4Vb8Nm"
"""Sixteen letters and figures that spell nothing."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of secret: lines in which `secret` has to go, and lines that must stay as they are."""

    name: str
    secret: str
    lines: tuple[str, ...]
    readable: tuple[str, ...] = ()


def kind(name: str, secret: str, *lines: str, readable: tuple[str, ...] = ()) -> Kind:
    return Kind(name=name, secret=secret, lines=lines or ("using {} now", '"{}"', "TOKEN={}"), readable=readable)


TABLE = [
    # cloud accounts
    kind("AWS key id", "AKIA" + "IOSFODNN7EXAMPLQ", readable=("AKIA is how they begin", "AKIAIOSFODNN7EXAMPLQTOOLONG")),
    kind(
        "AWS secret",
        f"wJal/{W}+{W}Key",
        "aws_secret_access_key = {}",
        "AWS_SECRET_ACCESS_KEY={}",
        '"SecretAccessKey": "{}"',
        readable=("aws_secret_access_key = $AWS_SECRET", "aws_secret_access_key is not set"),
    ),
    kind(
        "Azure storage",
        f"{W}{W}+/{W}{W}==",
        "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={};EndpointSuffix=core.windows.net",
        "az storage blob list --account-key {} --account-name acme",
        readable=("AccountName=acme;EndpointSuffix=core.windows.net", "the AccountKey is missing"),
    ),
    kind(
        "Azure bus",
        f"{W}{W}abc=",
        "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey={}",
        readable=("SharedAccessKeyName=RootManageSharedAccessKey",),
    ),
    kind("Azure application", f"abc8Q~{W}{W}ab", readable=("the Q~ in a name",)),
    kind("Google key", "AIza" + "SyA-" + W + W[:15], readable=("AIzawa prefecture",)),
    kind("Google OAuth", "GOCSPX-" + W + "abcd", readable=("GOCSPX-short",)),
    kind("Alibaba Cloud", "LTAI5t" + W),
    kind(
        "database connection",
        "hunt3r;x"[:6],
        "Server=db;Uid=app;Pwd={};",
        "Data Source=db;User ID=app;Password={};",
        readable=("PWD=/home/ci", "OLDPWD=/tmp"),
    ),
    # hosting of code and CI
    kind("GitHub", "ghs_" + W + W, readable=("ghp_short", "gho_ is a prefix")),
    kind("GitHub fine grained", "github_pat_" + W + "_" + W + W),
    kind("GitLab", "glpat-" + W + "abcd", readable=("glpat-<your token>", "glpat")),
    kind("GitLab runner", "glrt-" + W + "abcd"),
    kind("Bitbucket", "ATBB" + W + W, readable=("ATBBA",)),
    kind("Atlassian", "ATATT3x" + W + W + "=1A2B3C4D"),
    kind("Buildkite", "bkua_" + W + W),
    kind("CircleCI", "CCIPRJ_" + W + "_" + W),
    kind("Docker Hub", "dckr_pat_" + W + "_abcde"),
    kind("npm", "npm_" + W + W + "abcd", readable=("npm_config_cache=/tmp", "npm_lifecycle_event=test")),
    kind("PyPI", "pypi-AgEIcHlwaS5vcmc" + W + W + W, readable=("pypi-publish action",)),
    kind("RubyGems", "rubygems_" + HEX * 3),
    kind("crates.io", "cio" + W + W, readable=("cioffi",)),
    kind("NuGet", "oy2" + "abcdefgh234" * 3 + "abcdefgh23"),
    kind("JFrog", "AKCp8" + W + W),
    kind("SonarQube", "sqp_" + HEX * 2 + HEX[:8], readable=("sqp_short",)),
    kind("Terraform Cloud", "AbCdEfGhIjKlMn.atlasv1." + W * 4, readable=("docs on .atlasv1. tokens",)),
    kind("Pulumi", "pul-" + HEX * 2 + HEX[:8]),
    kind("Vault", "hvs." + W + W, readable=("hvs.example", "at s.object.method")),
    kind("old Vault", "s." + W + "A1b2C3d4", readable=("s.thisIsJustAMethodCallOnIt", "this.props")),
    kind("Doppler", "dp.st.prd." + W * 3, "DOPPLER={}", readable=("dp.example",)),
    kind("1Password", "ops_eyJ" + W * 3),
    kind(
        "age",
        "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0" * 3 + "S3JN54KHCE",
        readable=("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudqq",),
    ),
    # hosting of applications
    kind("DigitalOcean", "dop_v1_" + HEX * 4, readable=("dop_v1_ begins them",)),
    kind("Heroku", "HRKU-" + W + W),
    kind(
        "Heroku by name",
        "12345678-abcd-4bcd-8bcd-1234567890ab",
        "HEROKU_API_KEY={}",
        readable=("request id 12345678-abcd-4bcd-8bcd-1234567890ab",),
    ),
    kind("Fly", "fo1_" + W + W + "abcdefghijk", "FLY_API_TOKEN={}", "token {}"),
    kind("Vercel", "vcp_" + W + W, "VERCEL_TOKEN={}", "vercel --token {} deploy", "saw {}"),
    kind("Netlify", "nfp_" + W + W + "abcd"),
    kind("Cloudflare", "cfut_" + W + W + "abcd", "saw {}", "CLOUDFLARE_API_TOKEN={}"),
    kind("Cloudflare by name", W + W + "abcdefgh", "CLOUDFLARE_API_TOKEN={}", "CF_API_KEY: {}"),
    kind("Supabase", "sbp_" + HEX * 2 + HEX[:8]),
    kind("Tailscale", "tskey-auth-" + W + "-" + W),
    kind("Databricks", "dapi" + HEX * 2, readable=("dapi",)),
    # models
    kind("OpenAI", "sk-proj-" + W + "_" + W + W),
    kind("old OpenAI", "sk-" + W + W + W, readable=("sk-learn-contrib-lightning", "the sk-SK locale")),
    kind("Anthropic", "sk-ant-api03-" + W + W + W),
    kind("Hugging Face", "hf_" + W + W + "ab", readable=("hf_hub_download", "from_hf_transformers")),
    kind("Groq", "gsk_" + W + W + W),
    kind("Replicate", "r8_" + W + W + "abcde"),
    kind("xAI", "xai-" + W * 5),
    kind("Pinecone", "pcsk_" + W + "_" + W + W),
    # tools of teams
    kind("Slack", "xoxb-" + "123456789012-" + W, readable=("xoxb-", "xox")),
    kind(
        "Slack webhook",
        "https://hooks.slack.com/services/T000/B000/" + W,
        "{}",
        "url={}",
        readable=("https://hooks.slack.com/docs",),
    ),
    kind("Discord", "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ." + W + W, readable=("Module.Inner.method",)),
    kind("Discord webhook", "https://discord.com/api/webhooks/1234567890123/" + W + W, "{}"),
    kind(
        "Telegram",
        "123456789" + ":AA" + W + W + "x",
        "bot {}",
        "https://api.telegram.org/bot{}/getMe",
        readable=("at 12:30:45:AA",),
    ),
    kind("Linear", "lin_api_" + W + W + "abcd"),
    kind("Notion", "ntn_" + W + W + "abcdefgh1234"),
    kind("Airtable", "pat" + "AbCdEfGhIjKlMn." + HEX * 4, readable=("patch.example", "pattern.matches")),
    kind("Figma", "figd_" + W + W),
    kind("Postman", "PMAK-" + HEX + HEX[:8] + "-" + HEX * 2 + "ab"),
    # watching
    kind("Sentry", "sntrys_" + W * 4),
    kind(
        "Datadog",
        HEX * 2,
        "DD_API_KEY={}",
        "dd-api-key: {}",
        "DATADOG_APP_KEY_TOKEN={}",
        readable=(f"md5 {HEX * 2}", f"trace_id={HEX * 2}"),
    ),
    kind("New Relic", "NRAK-" + "ABCDEFGHIJ0123456789ABCDEFG"),
    kind("Grafana", "glsa_" + W + W + "_0123abcd"),
    kind("Grafana Cloud", "glc_" + "eyJvIjoi" + B64),
    kind("PostHog", "phc_" + W + W + "abcdefghijk", readable=("phc_count",)),
    # money, mail
    kind("Stripe", "rk_live_" + W),
    kind("Stripe webhook", "whsec_" + W + W),
    kind("Square", "sq0atp-" + W + "abcdef"),
    kind("Shopify", "shpat_" + HEX * 2, readable=("shpat_short",)),
    kind("PayPal", "access_token$production$abcd1234$" + HEX * 2),
    kind("Twilio", "SK" + HEX * 2, readable=("SKU 0123", "SKIP")),
    kind("Twilio by name", HEX * 2, "TWILIO_AUTH_TOKEN={}"),
    kind("Mailgun", "key-" + HEX * 2, readable=("key-value store",)),
    kind("Mailchimp", HEX * 2 + "-us12", readable=("region eu-us1",)),
    kind("SendGrid", "SG." + W + "abcdef." + W + W),
    # by what stands around them
    kind(
        "curl",
        "hunt:er2",
        "curl -u admin:{} https://x.example",
        "curl -sS --user 'admin:{}' x",
        "curl -uadmin:{} x",
        "curl --proxy-user=me:{} x",
        readable=("curl -u admin https://x.example", "curl -u $USER:$PASS x", "curl -U x"),
    ),
    kind(
        "password flag",
        "Hunter2!",
        "tool --password {}",
        "tool --password={} -v",
        "tool --db-password '{}'",
        "tool -password {}",
        readable=(
            "tool --password-stdin",
            "tool --password-file /run/x",
            "use --password to sign in",
            "tool --password $X",
            "--password is required",
        ),
    ),
    kind(
        "mysql",
        "s3cr3tpw",
        "mysql -u root -p{} -h db app",
        "mysqldump -p{} app > x",
        "+ /usr/bin/mysqladmin -uroot -p{} ping",
        readable=(
            "mysql -u root -p -h db",
            "mysql -P 3306 -h db",
            "ls -pla",
            "ssh -p2222 host",
            "docker run -p8080:80 x",
        ),
    ),
    kind(
        "PGPASSWORD",
        "pgw0rd",
        "PGPASSWORD={} psql -h db",
        "export PGPASSWORD='{}'",
        readable=("PGPASSWORD=$DB psql", "PGPASSFILE=/x"),
    ),
    kind(
        "docker login",
        "dckrpw1",
        "docker login -u me -p {} registry.example",
        "podman login -p {} r",
        "docker login --password {} r",
        readable=("docker run -p 8080:80 nginx", "docker login -u me --password-stdin", "docker ps -p"),
    ),
    kind(
        "sshpass",
        "sshp4ss",
        "sshpass -p {} ssh me@host",
        "sshpass -p'{}' scp x",
        readable=("sshpass -e ssh me@host", "ssh -p 2222 me@host"),
    ),
    kind("redis-cli", "r3dispw", "redis-cli -h x -a {} ping", readable=("redis-cli -h x ping", "ls -a dir")),
    kind("openssl", "0penpw", "openssl enc -passin pass:{} -in x", readable=("openssl enc -passin env:PW",)),
    kind("keytool", "st0repw", "keytool -list -storepass {} -keystore x"),
    kind(
        "netrc",
        "n3trcpw",
        "machine api.example login me password {}",
        "machine h\n  login me\n  password {}\n",
        readable=(
            "the machine has a login and a password",
            "login or password incorrect",
            "machine learning login page",
        ),
    ),
    kind(
        "npmrc",
        "abcd-" + W,
        "//npm.registry.example/:_authToken={}",
        "//r.example/:_password={}",
        "_auth={}",
        readable=("always-auth=true", "//npm.registry.example/:_authToken=${NPM_TOKEN}"),
    ),
    kind(
        "registry auth",
        B64[:24] + "==",
        '{{"auths": {{"r.example": {{"auth": "{}"}}}}}}',
        readable=('"auth": "required"', '"author": "Mika Lind"'),
    ),
    kind(
        "URL",
        "pa/ss:w@rd",
        "clone https://ci:{}@git.example/a/b.git",
        "postgres://app:{}@db:5432/x",
        "amqp://u:{}@mq.example:5671/v",
        "redis://:{}@cache.example/0",
        readable=(
            "https://registry.example/@scope/pkg",
            "http://host.example:8080/a@b.example",
            "ssh://git@github.com/acme/web.git",
            "git@github.com:acme/web.git",
            "mail mika@acme.example",
            "https://medium.example/@mika/post:1",
            "docker pull r.example:5000/a@sha256:" + HEX,
            "user@host:path/to",
            "http://localhost:3000/x@y.example",
            "https://x.example/a:b@c",
        ),
    ),
    kind("URL token", W + "abcd", "https://{}@github.com/acme/web.git", "https://oauth2:{}@gitlab.example/a.git"),
    kind(
        "JDBC",
        "jdbcpw",
        "jdbc:oracle:thin:app/{}@//db:1521/x",
        "jdbc:mysql://db/x?user=app&password={}",
        readable=("jdbc:mysql://db:3306/x?user=app",),
    ),
    kind(
        "signed query",
        "9f8e7d6c5b",
        "https://s3.example/f?X-Amz-Signature={}&x=1",
        "https://b.example/f?sv=1&sig={}",
        "GET https://x.example/?access_token={}",
        readable=("https://x.example/?page=2&design=1", "https://x.example/?sort=assignee"),
    ),
    kind("JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", readable=("eyJ", "eyJhbGciOiJIUzI1NiJ9")),
    kind(
        "private key",
        "MIIEvQIBADANBg",
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        '"key": "-----BEGIN RSA PRIVATE KEY-----\\n{}\\n-----END RSA PRIVATE KEY-----\\n"',
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\ncut off",
        readable=("-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"),
    ),
    kind(
        "bearer",
        W + "ab",
        "Authorization: Bearer {}",
        "sent Bearer {} twice",
        "-H 'PRIVATE-TOKEN: {}'",
        '"X-Api-Key": "{}"',
        readable=(
            "Authorization: $AUTH",
            "WWW-Authenticate: Bearer realm=x",
            "bearer of bad news",
            "Content-Type: application/json",
        ),
    ),
    kind("cookie", "session=abcdef", "Cookie: {}", "Set-Cookie: {}; Path=/"),
    kind(
        "environment",
        "v3ry-hidden",
        "DB_PASSWORD={}",
        "export CLIENT_SECRET='{}'",
        "API_KEY={}",
        "MY_APP_TOKEN={}",
        "SIGNING_KEY={}",
        "DB_PASS={}",
        "GH_PAT={}",
        readable=(
            "token_count=5",
            "max_tokens=4096",
            "TOKEN_FILE=/run/x",
            "PASSED=12",
            "password: required",
            "secretName: web-tls",
            "KEY=1",
            "author=mika",
            "tokenizer=bert-base",
            "password_reset_url=x.example",
            "access_token_url: https://x.example",
            "passwordless=enabled",
            "cache-key: linux-abc",
            "tokens: 12345",
            "private_key_path=/etc/x.pem",
            "pass: 10, fail: 2",
            "token = nextToken()",
            "secret: true",
            "COMPASS=north-west",
        ),
    ),
    kind(
        "JSON",
        "v3ry-hidden",
        '{{"password":"{}"}}',
        '{{"apiKey": "{}", "x": 1}}',
        '{{\\"token\\": \\"{}\\"}}',
        '{{"name": "DB_PASSWORD", "value": "{}"}}',
        readable=(
            '{"password": null}',
            '{"token": "string"}',
            '{"secret": {"name": "x"}}',
            '{"passwordPolicy": "strong-enough"}',
        ),
    ),
    kind(
        "YAML",
        "v3ry-hidden",
        "password: {}",
        "  db_password: '{}'",
        "- name: API_TOKEN\n  value: {}",
        "clientSecret: {}",
        readable=(
            "password: please ask Noor for it",
            "secret: see the wiki",
            "token: ${{ secrets.TOKEN }}",
            "- name: LOG_LEVEL\n  value: debug-more",
        ),
    ),
    kind(
        "XML",
        "v3ry-hidden",
        "<password>{}</password>",
        '<add key="DbPassword" value="{}" />',
        "<apiKey>{}</apiKey>",
        readable=("<password></password>", "<username>mika</username>", '<add key="Theme" value="very-dark" />'),
    ),
    kind(
        "properties",
        "v3ry-hidden",
        "spring.datasource.password={}",
        "signing.keyPassword = {}",
        "-Pandroid.injected.signing.store.password={}",
        "sonar.token={}",
        readable=("spring.datasource.username=sa", "sonar.tokens.max=3"),
    ),
    kind(
        "declared without a sign",
        W,
        "ENV API_KEY {}",
        "setx DEPLOY_TOKEN {}",
        "        storePassword '{}'",
        "        keyPassword '{}'",
        readable=("ENV API_VERSION 2026-08-15", "storePassword System.getenv('STORE')", "ARG TOKEN"),
    ),
    kind(
        "literals of a cluster's secret",
        W,
        "kubectl create secret generic web --from-literal=key={}",
        "kubectl create secret generic web --from-literal 'key={}'",
        readable=("kubectl create secret generic web --from-literal=key=$KEY",),
    ),
    kind(
        "short names and other languages",
        W,
        "pass={}",
        "pw: {}",
        "Pwd={};Database=web",
        "mot_de_passe={}",
        "contraseña: {}",
        "пароль={}",
        "密码：{}",
        "パスワード={}",
        readable=("pass=12 fail=3", "pass: everything", "clave=ninguna", "pwd=/home/ci", "compass=north2026"),
    ),
    kind(
        "Sonar login",
        W,
        "mvn sonar:sonar -Dsonar.login={} -Dsonar.host.url=https://sonar.example",
        'dotnet sonarscanner begin /k:web /d:sonar.login="{}"',
        "sonar.login={}",
        readable=("sonar.login=admin", "sonar.login is deprecated, use sonar.token", "-Dsonar.login=$SONAR_TOKEN"),
    ),
    kind(
        "Oracle login",
        W,
        "sqlplus scott/{}@//db.example:1521/orcl",
        "sqlplus -S app_user/{}@orcl @sql/run.sql",
        'sqlplus "sys/{}@db as sysdba"',
        "sqlldr userid=scott/{} control=load.ctl",
        "rman target sys/{}@orcl",
        "expdp system/{} directory=dumps",
        readable=(
            "sqlplus app@orcl @sql/run.sql",
            "sqlplus -S /nolog @dir/script.sql",
            "sqlplus / as sysdba",
            "sqlplus app/$PASS@orcl",
            "expdp directory=dp/x dumpfile=a.dmp",
            "sqlldr scripts/load.ctl",
        ),
    ),
    kind(
        "session of Apple's",
        W,
        "FASTLANE_SESSION='---\n- !ruby/object:HTTP::Cookie\n  name: DES5c148586\n  value: {}\n  domain: idmsa.apple.com'",
        "export FASTLANE_SESSION=---\\n-\\ !ruby/object:HTTP::Cookie\\n\\ \\ name:\\ DES5678\\n\\ \\ value:\\ {}",
        "  name: myacinfo\n  value: {}",
        "myacinfo={}; dslang=US-EN",
        readable=("  name: site-name\n  value: 12345678", "FASTLANE_SESSION is not set", "name: DES\nvalue: short"),
    ),
    kind(
        "session cookie",
        W,
        "JSESSIONID={}",
        "PHPSESSID={}; path=/",
        "connect.sid=s%3A{}",
        "sessionid={}",
        "_gitlab_session={}",
        'curl -b "JSESSIONID={}" https://ci.example',
        "curl --cookie 'session={}' https://ci.example",
        readable=(
            "session_id: 42",
            "build_session=green",
            "curl -b cookies.txt https://x",
            'curl -b "$COOKIES" https://x',
        ),
    ),
    kind(
        "login by a plain word",
        W,
        "cargo login {}",
        "vault login {}",
        "snyk auth {}",
        "ngrok config add-authtoken {}",
        "npm config set //npm.example/:_authToken {}",
        "yarn config set npmAuthToken {}",
        "poetry config http-basic.acme mika {}",
        "composer config github-oauth.github.com {}",
        "composer config --global http-basic.acme mika {}",
        "nuget push web.1.0.nupkg {} -Source https://nuget.example",
        "dotnet nuget push web.1.0.nupkg -k {} -s https://nuget.example",
        "net use N: {} /user:acme",
        "net user ci {} /add",
        "htpasswd -bc users mika {}",
        readable=(
            "cargo login --registry acme",
            "cargo login succeeded",
            "snyk auth failed",
            "vault login -method=oidc",
            "net use N: \\\\server\\share",
            "npm config set registry https://npm.example",
            "npm config set //npm.example/:_authToken ${{NPM_TOKEN}}",
            "dotnet test -k fast",
        ),
    ),
    kind(
        "host of gems",
        W,
        "bundle config set --global gems.example mika:{}",
        "BUNDLE_GEMS__EXAMPLE=mika:{}",
        'npmAuthIdent: "mika:{}"',
        readable=(
            "bundle config set path vendor/bundle",
            "bundle config set --local without development:test",
            "BUNDLE_WITHOUT=development:test",
            "BUNDLE_GEMFILE=/ci/Gemfile",
        ),
    ),
    kind(
        "piped",
        W,
        "echo {} | docker login --username ci --password-stdin",
        "printf '{}' | sudo -S true",
        'echo "root:{}" | chpasswd',
        readable=("echo hello | tee log", "echo $TOKEN | docker login --password-stdin", "echo done"),
    ),
    kind(
        "short options",
        W,
        "java -jar jenkins-cli.jar -auth mika:{} build web",
        "codecov -t {}",
        "vercel deploy -t {}",
        "netlify deploy --auth {}",
        "isql -Usa -P{}",
        "db2 connect to web user mika using {}",
        "beeline -u jdbc:hive2://h -n mika -p {}",
        "expo login -u mika -p {}",
        "rclone copy a b --sftp-pass {}",
        'ConvertTo-SecureString "{}" -AsPlainText -Force',
        "ConvertTo-SecureString -String {} -AsPlainText",
        readable=(
            "codecov -f coverage.xml",
            "java -jar agent.jar -auth @secret-file",
            "ConvertTo-SecureString $env:PASS -AsPlainText",
            "ffmpeg --two-pass encode",
        ),
    ),
    kind(
        "webhook addresses",
        W,
        "https://outlook.office.com/webhook/{}@acme/IncomingWebhook/1234abcd/x",
        "https://hooks.zapier.com/hooks/catch/123456/{}/",
        "https://open.feishu.cn/open-apis/bot/v2/hook/{}",
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={}",
        "https://maker.ifttt.com/trigger/built/with/key/{}",
        "https://events.pagerduty.com/integration/{}0000000000000000/enqueue",
        readable=("https://outlook.office.com/mail/", "https://hooks.zapier.com/docs"),
    ),
    kind(
        "named to the runner",
        W,
        "::add-mask::{}",
        "##vso[task.setvariable variable=key;issecret=true]{}",
        readable=("##vso[task.setvariable variable=key]plain", "::add-mask::***"),
    ),
    kind(
        "told in a sentence",
        W,
        "A temporary password is generated for root@localhost: {}",
        "Your token is: {}",
        readable=("Your token is: required", "the password was set for admin", "token for github: missing"),
    ),
    kind(
        "more names",
        W,
        "SECRET_KEY_BASE={}",
        "HMAC_KEY={}",
        "JWT_KEY: {}",
        "SESSION_KEY={}",
        '"secretString": "{}"',
        "client-key-data: {}",
        "SSHPASS={}",
        "APP_KEY=base64:{}=",
        'curl -H "apikey: {}" https://x.example',
        'curl -H "Ocp-Apim-Subscription-Key: {}" https://x.example',
        readable=("html_key=abc", "n_tokens=400", "APP_KEY is missing", "client-certificate-data: LS0t"),
    ),
    kind(
        "dump of an environment",
        W,
        "MATCH_GIT_BASIC_AUTHORIZATION={}",
        "Secrets__Stripe={}",
        "SSH_KEY={}",
        "os.environ['API_TOKEN'] = '{}'",
        'process.env["DEPLOY_PASSWORD"] = "{}"',
        "##vso[task.setvariable variable=apiToken]{}",
        "LICENCE_KEY: {}",
        "VPN_PSK='{}'",
        "DB_OTP={}",
        readable=(
            "GIT_AUTHOR_NAME=ana",
            "auth=disabled",
            "SSH_KEY=/home/ci/.ssh/id_ed25519",
            "HOST_KEY_ALGORITHMS=ssh-ed25519,rsa-sha2-512",
            "##vso[task.setvariable variable=tokenCount]3",
            "salt: none",
            "webhook: enabled",
        ),
    ),
    kind(
        "more of curl",
        W,
        "curl -sSLu ana:{} https://x.example",
        "curl --oauth2-bearer {} https://x.example",
        "curl \\\n  -sS \\\n  -u ana:{} \\\n  https://x.example",
        "curl -H 'Authorization: Token token=\"{}\"' https://x.example",
        "Authorization=Bearer%20{}",
        readable=("curl -sSLo app.zip https://x.example/app.zip", "curl -fsSLu $USER:$PASSWORD https://x.example"),
    ),
    kind(
        "output of Terraform",
        W,
        '  + password                                = "{}"',
        '  ~ secret_string = "before" -> "{}"',
        '{{"value": "{}", "sensitive": true}}',
        '{{"admin": {{"sensitive": true, "type": "string", "value": "{}"}}}}',
        readable=(
            "  + password                                = (sensitive value)",
            '{"admin": {"sensitive": false, "type": "string", "value": "nginx"}}',
            '  ~ instance_type = "t3.small" -> "t3.large"',
        ),
    ),
    kind(
        "manifest of Kubernetes",
        W,
        "kind: Secret\nmetadata:\n  name: db\ndata:\n  dsn: {0}\n  x.y: {0}\n",
        "stringData:\n  anything: {}\nkind: Secret",
        '{{"kind": "Secret", "data": {{"dsn": "{0}", "b": "{0}"}}}}',
        ".dockerconfigjson: {}",
        readable=(
            "kind: ConfigMap\ndata:\n  region: eu-central-1a\n",
            "kind: SecretStore\ndata:\n  region: eu-central-1a\n",
            '{"kind": "ConfigMap", "data": {"dsn": "plain"}}',
        ),
    ),
    kind(
        "statement of SQL",
        W,
        "ALTER USER ana WITH PASSWORD '{}';",
        "CREATE USER ana IDENTIFIED BY '{}';",
        "GRANT ALL ON a TO b IDENTIFIED WITH mysql_native_password BY '{}'",
        "user ana with password '{}' was refused",
        readable=("PASSWORD EXPIRE INTERVAL 90 DAY", "the password 'confirmation' field", "IDENTIFIED EXTERNALLY"),
    ),
    kind(
        "store of secrets",
        W,
        "gh secret set TOKEN --body {}",
        'gh secret set TOKEN -b"{}"',
        "heroku config:set STRIPE={0} OTHER={0}",
        "fly secrets set A={}",
        "vault write auth/approle/login role_id=x secret_id={}",
        "vault kv put secret/app dsn={}",
        "pulumi config set --secret database {}",
        'aws secretsmanager create-secret --name x --secret-string \'{{"a":"{}"}}\'',
        "aws ssm put-parameter --type SecureString --name x --value {}",
        "az keyvault secret set --vault-name v --name x --value {}",
        "rabbitmqctl add_user ana {}",
        '{{"Name": "API_TOKEN", "Type": "SecureString", "Value": "{}"}}',
        readable=(
            "gh secret list",
            "heroku config:set is a command",
            "aws ssm get-parameter --name /app/dsn",
            "vault kv get secret/app",
            "az keyvault secret show --name x",
            '{"Name": "REGION", "Type": "String", "Value": "eu-central-1"}',
        ),
    ),
    kind(
        "prose",
        W,
        "Your API key is {}",
        "The token is {}.",
        "bindpw {}",
        "PASSWORD ENTERED: {}",
        "Invalid credentials ana:{}",
        readable=(
            "the token is expired",
            "password authentication failed for user",
            "Credentials helper osxkeychain is used",
            "The secret sauce",
        ),
    ),
    kind(
        "user and password without a scheme",
        W,
        "fatal: ana:{}@git.example:8443 is not reachable",
        "http_proxy=ana:{}@proxy.example:3128",
        "//ana:{}@registry.example/a",
        "db.example:5432:app:ana:{}",
        "connected as ana/{}@ORCL",
        readable=(
            "image: nginx:1.27.3-alpine@sha256:9f86d081884c7d65",
            "git@git.example:team/App2.git",
            "main.c:1204:11:error:Xy12expected",
            "app:v1.2.3@main",
        ),
    ),
    kind(
        "address of a webhook",
        "q7lw9zt2kx4vb8nm3s5d8f1g",
        "POST https://chat.example/hooks/{} failed",
        "https://x.example/webhook/{}",
        "DEPLOY_HOOK=https://x.example/services/T1/B2/{}",
        "https://x.example/build?key={}",
        readable=(
            "https://git.example/api/hooks/pre-commit-check",
            "https://x.example/services/build-and-deploy-app",
            "https://git.example/acme/hooks/123456",
            "https://x.example/issue?key=APP-1234",
        ),
    ),
    kind(
        "private key in base64",
        "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo" + W,
        "KEY={}",
        "{}",
        readable=("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg",),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_each_kind_of_secret_is_masked_in_each_of_its_places(row: Kind) -> None:
    for line in row.lines:
        shown = redact(line.format(row.secret))
        assert row.secret not in shown
        assert "[masked: " in shown
        assert redact(shown) == shown
        assert not any(part in shown for part in row.secret.split("@") if len(part) > 3)


@pytest.mark.parametrize("line", sorted({line for row in TABLE for line in row.readable}))
def test_what_only_resembles_a_secret_stays_readable(line: str) -> None:
    assert redact(line) == line


def test_the_table_knows_more_than_sixty_kinds() -> None:
    assert len({row.name for row in TABLE}) >= 60


def test_a_mask_leaves_everything_around_the_secret_readable() -> None:
    line = (
        "clone https://ci:pa/ss@w:rd@git.example:8443/a/b.git into /work, then curl -sS -u me:hush https://x.example/y"
    )
    assert redact(line) == (
        "clone https://[masked: credentials]@git.example:8443/a/b.git into /work, then curl -sS -u me:[masked: secret] https://x.example/y"
    )
    assert redact("https://u:p@npm.example/@scope/pkg") == "https://[masked: credentials]@npm.example/@scope/pkg"


def test_a_long_text_is_masked_across_its_pieces() -> None:
    line = f"{'x' * 70} API_KEY={W} https://u:hush@h.example/a\n"
    shown = redact(line * 2000)
    assert W not in shown
    assert "hush" not in shown
    assert shown.count("\n") == 2000
    key = "-----BEGIN PRIVATE KEY-----\n" + f"{W * 4}\n" * 2000 + "-----END PRIVATE KEY-----\nafter"
    assert redact(key) == "[masked: private key]\nafter"


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
