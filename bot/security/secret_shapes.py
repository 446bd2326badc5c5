"""Secrets that are recognized by their shape: which tokens there are, how they begin and what follows."""

import re

_WORD = "[A-Za-z0-9]"
_LONG = "[A-Za-z0-9_-]"
_END = "(?![A-Za-z0-9])"

SHAPES: tuple[tuple[str, str, str], ...] = (
    ("AWS key", "AKIA ASIA AGPA AIDA AROA ANPA ABIA ACCA", f"[A-Z0-9]{{16}}{_END}"),
    ("Google key", "AIza", f"{_LONG}{{35}}"),
    ("OAuth token", "ya29.", f"{_LONG}{{20,}}"),
    ("OAuth secret", "GOCSPX-", f"{_LONG}{{20,}}"),
    ("OAuth token", "1//0", f"{_LONG}{{30,}}"),
    ("Alibaba Cloud key", "LTAI", f"{_WORD}{{12,}}"),
    ("Tencent Cloud key", "AKID", f"{_WORD}{{24,}}"),
    ("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", f"{_WORD}{{20,255}}"),
    ("GitHub token", "github_pat_", "[A-Za-z0-9_]{20,255}"),
    (
        "GitLab token",
        "glpat- gloas- gldt- glrt- glrtr- glcbt- glptt- glft- glsoat- glimt- glagent- glffct- GR1348941",
        "[A-Za-z0-9_.-]{16,300}",
    ),
    ("Atlassian token", "ATATT ATCTT ATBB", "[A-Za-z0-9_=-]{20,}"),
    ("Slack token", "xox", r"[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}"),
    ("Slack token", "xapp-", "[A-Za-z0-9-]{8,}"),
    ("Discord token", "M N O", rf"{_LONG}{{23,27}}\.{_LONG}{{6}}\.{_LONG}{{27,}}"),
    ("Buildkite token", "bkua_ bkaj_ bkct_ bkpt_ bkrt_ bkat_", f"{_WORD}{{20,}}"),
    ("CircleCI token", "CCIPAT_ CCIPRJ_", "[A-Za-z0-9_]{16,}"),
    ("npm token", "npm_", f"{_WORD}{{30,}}"),
    ("PyPI token", "pypi-", f"{_LONG}{{50,}}"),
    ("RubyGems key", "rubygems_", "[a-f0-9]{40,}"),
    ("crates.io token", "cio", f"{_WORD}{{32}}{_END}"),
    ("NuGet key", "oy2", f"[a-z0-9]{{43}}{_END}"),
    ("Docker token", "dckr_pat_ dckr_oat_", f"{_LONG}{{20,}}"),
    ("JFrog key", "AKCp", f"{_WORD}{{20,}}"),
    ("Sonar token", "sqp_ squ_ sqa_", "[a-f0-9]{40}"),
    ("Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_", f"{_WORD}{{16,}}"),
    ("Stripe key", "whsec_", "[A-Za-z0-9+/=]{20,}"),
    ("Square token", "sq0", f"[a-z]{{3}}-{_LONG}{{22,}}"),
    ("Square token", "EAAA", f"{_LONG}{{55,}}"),
    ("Shopify token", "shpat_ shpca_ shppa_ shpss_ shpua_ shptka_", "[a-fA-F0-9]{32}"),
    ("PayPal token", "access_token$", r"(?:production|sandbox)\$[a-z0-9]{8,40}\$[a-f0-9]{32}"),
    ("SendGrid key", "SG.", rf"{_LONG}{{16,80}}\.{_LONG}{{16,}}"),
    ("Twilio key", "SK", f"[0-9a-f]{{32}}{_END}"),
    ("Mailgun key", "key-", f"[0-9a-f]{{32}}{_END}"),
    ("Brevo key", "xkeysib-", f"[a-f0-9]{{40,80}}-{_WORD}{{8,}}"),
    ("Resend key", "re_", f"{_WORD}{{8}}_{_WORD}{{20,}}"),
    ("Anthropic key", "sk-ant-", f"{_LONG}{{20,}}"),
    ("key", "sk-", rf"(?=[A-Za-z0-9_-]{{0,300}}[0-9])(?=[A-Za-z0-9_-]{{0,40}}{_WORD}{{12}}){_LONG}{{24,}}"),
    ("Hugging Face token", "hf_ api_org_", f"{_WORD}{{30,}}"),
    ("Groq key", "gsk_", f"{_WORD}{{30,}}"),
    ("xAI key", "xai-", f"{_WORD}{{40,}}"),
    ("Perplexity key", "pplx-", f"{_WORD}{{30,}}"),
    ("Replicate token", "r8_", f"{_WORD}{{30,}}"),
    ("NVIDIA key", "nvapi-", f"{_LONG}{{40,}}"),
    ("Pinecone key", "pcsk_", "[A-Za-z0-9_]{30,}"),
    ("LangSmith key", "lsv2_pt_ lsv2_sk_", "[a-f0-9]{32}_[a-f0-9]{8,}"),
    ("Weights & Biases key", "wandb_v1_", "[A-Za-z0-9_]{30,}"),
    ("DigitalOcean token", "doo_v1_ dop_v1_ dor_v1_ dot_v1_", "[a-f0-9]{40,}"),
    ("Heroku key", "HRKU-", f"{_LONG}{{30,}}"),
    ("Fly token", "fm1_ fm2_ fo1_", "[A-Za-z0-9+/=_-]{30,}"),
    ("Vercel token", "vcp_ vci_ vck_ vca_ vcr_", f"{_WORD}{{20,}}"),
    ("Netlify token", "nfp_ nfo_ nfb_ nfc_ nfu_", f"{_WORD}{{30,}}"),
    ("Cloudflare key", "v1.0-", "[a-f0-9]{24}-[a-f0-9]{100,}"),
    ("Cloudflare token", "cfut_ cfat_ cfk_", f"{_LONG}{{30,}}"),
    ("Render key", "rnd_", f"{_WORD}{{24,}}"),
    ("Supabase key", "sbp_", "[a-f0-9]{40}"),
    ("Supabase key", "sb_secret_", f"{_LONG}{{20,}}"),
    ("PlanetScale key", "pscale_tkn_ pscale_pw_ pscale_oauth_", "[A-Za-z0-9_.=-]{30,}"),
    ("Tailscale key", "tskey-", "[a-z]{2,10}-[A-Za-z0-9-]{16,}"),
    ("Linear key", "lin_api_ lin_oauth_", f"{_WORD}{{30,}}"),
    ("Notion token", "ntn_", f"{_WORD}{{40,}}"),
    ("Notion token", "secret_", f"{_WORD}{{43}}{_END}"),
    ("Airtable token", "pat", rf"{_WORD}{{14}}\.[a-f0-9]{{64}}"),
    ("Figma token", "figd_ figu_ figr_", f"{_LONG}{{30,}}"),
    ("Postman key", "PMAK-", "[a-f0-9]{24}-[a-f0-9]{34}"),
    ("Contentful token", "CFPAT-", f"{_LONG}{{40,}}"),
    ("Sentry token", "sntrys_ sntryu_", "[A-Za-z0-9+/=_-]{40,}"),
    ("Datadog key", "ddapp_ ddapi_ ddpat_ ddsat_", f"{_WORD}{{20,}}"),
    ("New Relic key", "NRAK- NRJS- NRII- NRIQ- NRRA- NRSP- NRBR- NRAL-", f"{_LONG}{{15,}}"),
    ("Grafana token", "glsa_", f"{_WORD}{{32}}_[A-Fa-f0-9]{{8}}"),
    ("Grafana token", "glc_", "[A-Za-z0-9+/]{32,}={0,2}"),
    ("Honeycomb key", "hcaik_ hcaic_ hcamk_ hcalk_", f"{_WORD}{{40,}}"),
    ("Axiom token", "xaat- xapt-", "[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}"),
    ("LaunchDarkly key", "sdk- mob- api-", "[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[a-f0-9]{4}-[a-f0-9]{12}"),
    ("PostHog key", "phc_ phx_ phs_", f"{_WORD}{{30,}}"),
    ("Vault token", "hvs. hvb. hvr.", f"{_LONG}{{20,}}"),
    ("Vault token", "s.", f"(?=[a-zA-Z]{{0,23}}[0-9])(?=[a-z0-9]{{0,23}}[A-Z]){_WORD}{{24}}(?![A-Za-z0-9._-])"),
    ("Doppler token", "dp.", rf"(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{{2,35}}\.)?{_WORD}{{40,}}"),
    ("1Password token", "ops_eyJ", f"{_LONG}{{40,}}"),
    ("Pulumi token", "pul-", "[a-f0-9]{40}"),
    ("Databricks token", "dapi dose dkea", r"[a-f0-9]{32}(?:-\d{1,2})?"),
    ("Dropbox token", "sl.", f"{_LONG}{{60,}}"),
    ("Apple session", "DAWTKN", "[A-Za-z0-9+/=_-]{16,}"),
    ("Apple session", "HSARMT", "[A-Za-z0-9+/=_-]{16,}"),
    ("Mapbox token", "sk.eyJ", rf"{_LONG}{{20,2000}}\.{_LONG}{{16,}}"),
    ("age key", "AGE-SECRET-KEY-1", "[0-9A-Z]{50,}"),
    (
        "private key",
        (
            "LS0tLS1CRUdJTiBSU0Eg LS0tLS1CRUdJTiBQUklWQVRF LS0tLS1CRUdJTiBPUEVOU1NI LS0tLS1CRUdJTiBFQy LS0tLS1CRUdJTiBFTkNSWVBURUQ"
            " LS0tLS1CRUdJTiBEU0Eg LS0tLS1CRUdJTiBQR1AgUFJJVkFURS"
        ),
        "[A-Za-z0-9+/=_-]{8,}",
    ),
    ("JWT", "eyJ", rf"(?<![-]eyJ){_LONG}{{8,}}+\.eyJ{_LONG}{{4,}}+(?:\.{_LONG}*+)?"),
    (
        "encrypted token",
        "eyJ",
        rf"(?<![-]eyJ){_LONG}{{16,}}+\.{_LONG}*+\.{_LONG}{{8,}}+\.{_LONG}{{16,}}+\.{_LONG}{{16,}}",
    ),
)
"""What it is, how it begins (several with spaces between), and the pattern of what follows.

What goes on in several runs of `_LONG` begins only where a run begins.
"""

BARE_SHAPES: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("Azure secret", "Q~", re.compile(r"(?<![\w~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,}")),
    ("Mailchimp key", "-us", re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])")),
    ("New Relic key", "NRAL", re.compile(r"(?<![A-Za-z0-9])[a-f0-9]{30,36}(?:FFFF)?NRAL(?![A-Za-z0-9])")),
    ("Telegram token", ":AA", re.compile(r"(?<![0-9])\d{8,10}:AA[A-Za-z0-9_-]{33,}")),
    ("Terraform token", ".atlasv1.", re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}")),
    (
        "Slack webhook",
        "https://hooks.slack",
        re.compile(
            r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers|commands|actions)/[A-Za-z0-9/_-]{8,}"
        ),
    ),
    (
        "Discord webhook",
        "/webhooks/",
        re.compile(
            r"https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{10,25}/[A-Za-z0-9_-]{20,}"
        ),
    ),
    (
        "Teams webhook",
        ".webhook.office.com",
        re.compile(r"https://[a-z0-9-]{1,60}\.webhook\.office\.com/[A-Za-z0-9@/_-]{20,}"),
    ),
    (
        "Teams webhook",
        "outlook.office.com/webhook/",
        re.compile(r"https://outlook\.office\.com/webhook/[A-Za-z0-9@/_-]{20,}"),
    ),
    ("Zapier webhook", "hooks.zapier.com/", re.compile(r"https://hooks\.zapier\.com/hooks/catch/[A-Za-z0-9/_-]{8,}")),
    (
        "chat webhook",
        "/bot/v2/hook/",
        re.compile(r"https://open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/[A-Za-z0-9_-]{8,}"),
    ),
    (
        "chat webhook",
        "qyapi.weixin.qq.com/",
        re.compile(r"https://qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=[A-Za-z0-9_-]{8,}"),
    ),
    ("IFTTT webhook", "/with/key/", re.compile(r"(?<=/with/key/)[A-Za-z0-9_-]{8,}")),
    (
        "PagerDuty key",
        "events.pagerduty.com/integration/",
        re.compile(r"(?<=events\.pagerduty\.com/integration/)[A-Za-z0-9]{16,}"),
    ),
    ("Telegram token", "/bot", re.compile(r"(?<=/bot)\d{8,10}:[A-Za-z0-9_-]{30,}")),
)
"""Shapes without a beginning of their own: what it is, a text that stands in every one, and the whole pattern."""
