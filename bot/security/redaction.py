"""Secrets masked in what CI systems print, before it reaches a channel.

Rules name what they know (a vendor's token prefix, a header, an assignment to a telling name); ordinary lines pass
unchanged. A mask says what was there, so that a reader knows which secret to change.
"""

import re
from collections.abc import Callable

_Found = re.Match[str]

_KEY_BLOCK = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----.*?(?:-----END (?P=kind)-----|\Z)", re.DOTALL
)
_KEY_TAIL = re.compile(r"\A(?:[ \t]*[A-Za-z0-9+/=]+[ \t]*\r?\n)*[^\n]{0,200}-----END [A-Z0-9 ]{0,40}PRIVATE KEY[^\n]*")

_TOKENS = (
    ("AWS key", r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}"),
    ("GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})"),
    ("GitLab token", r"gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|ffct)-[A-Za-z0-9_.-]{16,300}"),
    (
        "Slack token",
        r"(?:xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xoxe(?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,})",
    ),
    ("Slack webhook", r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{8,}"),
    ("Buildkite token", r"bk(?:ua|aj|ct|pt|rt)_[A-Za-z0-9]{20,}"),
    ("CircleCI token", r"CCI(?:PAT|PRJ)_[A-Za-z0-9_]{16,}"),
    ("Google key", r"AIza[A-Za-z0-9_-]{35}"),
    ("OAuth token", r"ya29\.[A-Za-z0-9_-]{20,}"),
    ("npm token", r"npm_[A-Za-z0-9]{30,}"),
    ("PyPI token", r"pypi-[A-Za-z0-9_-]{50,}"),
    ("Stripe key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("SendGrid key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("Atlassian token", r"AT(?:ATT|CTT|BB)[A-Za-z0-9_=-]{20,}"),
    ("key", r"sk-(?:[A-Za-z]{2,8}-)*[A-Za-z0-9_-]{32,}"),
    ("JWT", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),
)
_TOKEN = re.compile("|".join(f"(?P<t{n}>(?<![A-Za-z0-9_]){rule})" for n, (_, rule) in enumerate(_TOKENS)))
_TOKEN_NAMES = {f"t{n}": name for n, (name, _) in enumerate(_TOKENS)}

_CREDENTIALS = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}://)(?P<user>[^\s/@:'\"]{0,200}):(?P<word>[^\s/@'\"]{1,500})@", re.IGNORECASE
)
_LONE_CREDENTIAL = re.compile(r"(?P<scheme>\bhttps?://)(?P<word>[A-Za-z0-9_.~+-]{16,500})@", re.IGNORECASE)
_QUERY = re.compile(r"(?P<base>https?://[^\s?'\"<>]{1,2000})\?(?P<query>[^\s'\"<>]+)", re.IGNORECASE)
_SIGNED = re.compile(
    r"(?:signature|\bsig|x-amz-credential|x-goog-credential|awsaccesskeyid|token|api_?key|key-pair-id)=", re.IGNORECASE
)
_SCHEME = re.compile(r"(?P<head>\b(?:Bearer|Basic|Token|token)\s+)(?P<word>[A-Za-z0-9+/_.~=-]{16,})")
_HEADER = re.compile(
    r"(?P<head>\b(?:(?:proxy-)?authorization|private-token|job-token|deploy-token|circle-token|x-api-key|x-auth-token"
    r"|x-gitlab-token|x-buildkite-token|cookie|set-cookie)['\"]?\s*:\s*['\"]?(?:(?:bearer|basic|token)\s+)?)(?P<word>[^\s'\"]{4,}[^\r\n'\"]*)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?P<name>\b[A-Za-z0-9_]{0,60}?(?:passwor[dt]|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|auth[_-]?token|access[_-]?token|refresh[_-]?token|_token|token|credentials?)(?:_?(?:id|key|value|base64))?)"
    r"(?P<sign>['\"]?\s*(?:=|:=|=>|:)\s*)(?P<value>\"[^\"\r\n]{4,}\"|'[^'\r\n]{4,}'|[^\s'\",;)&|\]}]{4,})",
    re.IGNORECASE,
)
_FLAG = re.compile(
    r"(?P<name>(?<!\S)--?(?:[a-z0-9-]{0,30}-)?(?:password|passwd|passphrase|secret|token|api-key|apikey|access-key))"
    r"(?P<sign>[ \t]+)(?P<value>\"[^\"\r\n]+\"|'[^'\r\n]+'|[^\s'\"-]\S{5,})",
    re.IGNORECASE,
)
# What stands where a secret would, and is none: a reference to one, a mask, a type, a plain word of code.
_HARMLESS = re.compile(
    r"\$[\w{(%].*|%\w+%|<[^>]*>|\{\{.*|[*•.xX]{3,}.*|\[.*|\(.*|None|null|nil|true|false|undefined|empty|required|missing|invalid"
    r"|expired|string|bytes|int|str(?:ing)?\??|\d{1,6}|(?:not|is|was|has|the)\b.*|[a-z_]+\(.*|process\.env.*|os\.environ.*|secrets\..*|env\..*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return a text with what reads as a secret masked as `[masked: what it was]`."""
    for rule, mask in _RULES:
        text = rule.sub(mask, text)
    return text


def _mask(what: str) -> str:
    return f"[masked: {what}]"


def _token(found: _Found) -> str:
    return _mask(_TOKEN_NAMES[found.lastgroup or "t0"])


def _credentials(found: _Found) -> str:
    return f"{found['scheme']}{_mask('credentials')}@"


def _signed(found: _Found) -> str:
    if not _SIGNED.search(found["query"]):
        return found[0]
    return f"{found['base']}?{_mask('signed query')}"


def _header(found: _Found) -> str:
    return found[0] if found["word"].startswith("[masked") else found["head"] + _mask("credentials")


def _scheme(found: _Found) -> str:
    # "token refreshed-successfully" is prose: a credential holds a figure or a capital.
    word = found["word"]
    telling = any(c.isdigit() for c in word) or (any(c.isupper() for c in word) and any(c.islower() for c in word))
    return found["head"] + _mask("credentials") if telling else found[0]


def _assigned(found: _Found) -> str:
    value = found["value"].strip("'\"")
    if _HARMLESS.fullmatch(value):
        return found[0]
    # "secret: see the wiki" is prose; behind a colon only one word at the line's end is a value.
    if found["sign"].strip("'\" ") == ":" and found["value"] == value and not _alone(found):
        return found[0]
    quote = found["value"][0] if found["value"] != value else ""
    return f"{found['name']}{found['sign']}{quote}{_mask('secret')}{quote}"


def _alone(found: _Found) -> bool:
    """Return whether nothing but punctuation follows on the line."""
    return re.match(r"[\s,;)}\]&|'\"]*(?:$|[\r\n])", found.string[found.end() : found.end() + 20]) is not None


def _flagged(found: _Found) -> str:
    if _HARMLESS.fullmatch(found["value"].strip("'\"")):
        return found[0]
    return f"{found['name']}{found['sign']}{_mask('secret')}"


_RULES: tuple[tuple[re.Pattern[str], Callable[[_Found], str]], ...] = (
    (_KEY_BLOCK, lambda _: _mask("private key")),
    (_KEY_TAIL, lambda _: _mask("private key")),
    (_TOKEN, _token),
    (_QUERY, _signed),
    (_CREDENTIALS, _credentials),
    (_LONE_CREDENTIAL, _credentials),
    (_HEADER, _header),
    (_SCHEME, _scheme),
    (_ASSIGNED, _assigned),
    (_FLAG, _flagged),
)
