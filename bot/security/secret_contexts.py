"""Secrets that the words around them give away: statements of SQL, stores of secrets, manifests, output of Terraform.

Each rule is a pattern with a `head`, which stays, and a `value`, which is masked. Weak rules, whose words stand in
prose as well, mask a value only where it reads as made by a machine.
"""

import re
from collections.abc import Callable

from bot.security.masks import HARMLESS, MASK, is_random, mask

_Match = re.Match[str]
_QUOTED = r"\"[^\"\r\n]{1,2000}+\"|'[^'\r\n]{1,2000}+'"
_WORD = r"[^\s'\",;)&|<>\]}\\]{3,2000}+"

STORED = re.compile(
    r"(?P<head>(?<![\w./-])(?:(?:gh|glab) (?:secret|variable) set \S{1,100} [^\n|;]{0,100}?(?:-b|--body|-v|--value)[ =]?"
    r"|(?:pulumi|dotnet) (?:config|user-secrets) set (?:[^\n|;]{0,60}?--secret )?(?:\[masked: secret\]|\S{1,100}) (?=\S)"
    r"|aws (?:secretsmanager|ssm) [^\n|;]{1,200}?--(?:secret-string|secret-binary|value)[ =]"
    r"|az keyvault secret set [^\n|;]{1,200}?--value[ =]|wrangler secret put \S{1,100}[ \t]{0,4}<<<[ \t]{0,4}"
    r"|rabbitmqctl (?:add_user|change_password) \S{1,100} |bw (?:login|unlock) (?:\S{1,100}@\S{1,100} )?|travis env set \S{1,100} "
    r"|buildkite-agent (?:secret|meta-data) set [^\s]{0,60}(?:token|secret|password|key)[^\s]{0,20} "
    r"|(?:schtasks|psexec)(?:\.exe)?[ \t][^\n|;]{0,200}?[-/]r?p[ \t]|net use \S{1,10} \S{1,200} (?!/)"
    r"|(?:snmp|snmp-server) community ))"
    rf"(?P<value>'\{{[^\n]{{1,2000}}?\}}'|{_QUOTED}|(?!-)[^\s'\"|;]{{3,2000}}+)"
)
"""A command that stores a secret, or that takes one as its plain word."""
STORED_PAIRS = re.compile(
    r"(?P<head>(?<![\w./-])(?:heroku config:(?:set|add)|(?:fly|flyctl) secrets (?:set|import)|supabase secrets set"
    r"|vault (?:kv (?:put|patch)|write) \S{1,200}|railway variables (?:--)?set|vercel env add|op item create)[ \t])(?P<value>[^\n|;]{3,4000}+)"
)
_PAIR_VALUE = re.compile(rf"(?<=[\w\]]=)(?:{_QUOTED}|[^\s'\"=]{{3,2000}}+)")
SQL = re.compile(
    r"(?P<head>\b(?:IDENTIFIED (?:WITH \S{1,60} )?(?:BY|AS)(?: PASSWORD)?|PASSWORD)[ \t]{1,4}(?=['\"]))(?P<value>'[^'\r\n]{3,500}+'|\"[^\"\r\n]{3,500}+\")"
)
QUOTED_AFTER_WORD = re.compile(
    r"(?P<head>\b(?:passwords?|passphrase|secret|token|api key)[ \t]{1,4}(?:is[ \t]{1,4})?)(?P<value>'[^'\r\n]{6,500}+'|\"[^\"\r\n]{6,500}+\"|`[^`\r\n]{6,500}+`)",
    re.IGNORECASE,
)
AFTER_WORD = re.compile(
    r"(?P<head>\b(?:password|passphrase|passwd|bindpw|rootpw|secret|token|api[ -]?key|credentials?)[ \t]{1,8}(?:is[ \t]{1,4}|of[ \t]{1,4}\S{1,60}[ \t]{1,4})?)"
    r"(?P<value>[^\s'\"`=:,;()\[\]{}<>]{10,500}+)",
    re.IGNORECASE,
)
NAMED = re.compile(
    r"(?P<head>(?<![A-Za-z0-9])(?:(?:basic|git_basic|http)?[_-]?auth(?:orization)?|creds?|otp|psk|salt|dbpass|secret[_-]?id|secret[_-]?string|licen[cs]e[_-]?key"
    r"|(?:ssh|tls|ca|rsa|dsa|ec|gpg|pgp|age|host|server|client|root|peer|wg)[_.-]key|\.?dockerconfigjson|secrets?__\w{1,60}|webhook(?:_ur[il])?)"
    rf"(?:\\?['\"])?\]?[ \t]{{0,8}}(?:=>|:=|=|:)[ \t]{{0,8}})(?P<value>{_QUOTED}|{_WORD})",
    re.IGNORECASE,
)
"""Short names, and names of what may be public as well."""
LOGGED_IN = re.compile(
    r"(?P<head>(?:(?<!\S)--?(?:auth|user|login|basic-auth|credentials?)[ =]{1,4}|\b(?:credentials?|login|user(?:name)?/pass(?:word)?)[: ]{1,3})['\"]?[\w.@-]{1,64}(?::| ?/ ?))"
    r"(?P<value>[^\s'\",;@]{6,500}+)",
    re.IGNORECASE,
)
AT_HOST = re.compile(
    r"(?P<head>(?<![\w.@:-])[A-Za-z_][\w.-]{0,63}:)(?P<value>[^\s:@'\"<>]{6,200}+)"
    r"(?=@(?!sha\d)(?:[A-Za-z0-9_-]{1,63}\.){0,10}[A-Za-z0-9-]{1,63}(?![\w.-]))"
)
"""`user:password@host` without a scheme before it."""
AT_ORACLE = re.compile(r"(?P<head>\bas [\w$#.-]{1,64}/)(?P<value>[^\s@/'\"]{6,100}+)(?=@[\w.]{1,100})")
PASS_FILE = re.compile(
    r"^(?P<head>(?:[\w.-]{1,255}|\*):(?:\d{4,5}|\*):(?!\d)[^:\s]{1,64}:[^:\s]{1,64}:)(?P<value>[^\s:]{3,200}+)$",
    re.MULTILINE,
)
SET_VARIABLE = re.compile(
    r"(?P<head>##vso\[task\.setvariable variable=[^\];\n]{0,60}(?:token|secret|passw|apikey|api_key|credential)[^\]\n]{0,100}\])(?P<value>\S[^\n]{0,4000}+)",
    re.IGNORECASE,
)
SENSITIVE = re.compile(
    r"(?P<head>\"sensitive\"\s{0,8}:\s{0,8}true[^{}\n]{0,200}?\"value\"\s{0,8}:\s{0,8})(?P<value>\"(?:[^\"\\\r\n]|\\.){1,8000}+\")"
)
SENSITIVE_AFTER = re.compile(
    r"(?P<head>\"value\"\s{0,8}:\s{0,8})(?P<value>\"(?:[^\"\\\r\n]|\\.){1,8000}+\")(?=\s{0,8},\s{0,8}\"sensitive\"\s{0,8}:\s{0,8}true)"
)
CHANGED_TO = re.compile(
    r"(?P<head>\[masked: secret\]['\"]?[ \t]{1,8}->[ \t]{1,8})(?P<value>\"(?:[^\"\\\r\n]|\\.){1,4000}+\")"
)
"""The new value of an attribute, after the old one was masked."""

_MANIFEST = re.compile(
    r"^(?P<head>(?P<indent>[ \t]{0,20})(?:data|stringData):[ \t]*\r?\n)(?P<value>(?:(?P=indent)[ \t]{1,8}[^\n]{1,8000}(?:\n|\Z)){1,400})",
    re.MULTILINE,
)
_MANIFEST_LINE = re.compile(
    r"^(?P<head>[ \t]{1,40}[\w./-]{1,200}:[ \t]{1,4})(?P<value>(?![|>])[^\n]{1,8000})$", re.MULTILINE
)
_JSON_MANIFEST = re.compile(r"(?P<head>\"(?:data|stringData)\"\s{0,8}:\s{0,8}\{)(?P<value>[^{}]{1,32000}+)")
_JSON_VALUE = re.compile(r"(?P<head>:\s{0,8})(?P<value>\"[^\"\n]{1,32000}+\")")
_SECRET_KIND = re.compile(r"\bkind\"?:[ \t]{0,8}\"?Secret\b")


def _bare(value: str) -> str:
    return value.strip("'\"`")


def _hidden(match: _Match) -> str:
    value = match["value"]
    bare = _bare(value)
    if bare.startswith(MASK.strip()) or "[masked" in bare or HARMLESS.fullmatch(bare):
        return match[0]
    quote = value[0] if value[:1] in {"'", '"', "`"} else ""
    return f"{match['head']}{quote}{mask('secret')}{quote}"


def _hidden_if_random(match: _Match) -> str:
    return _hidden(match) if is_random(_bare(match["value"]).rstrip(".!?")) else match[0]


def _pairs(match: _Match) -> str:
    return match["head"] + _PAIR_VALUE.sub(lambda value: _replaced(value[0]), match["value"])


def _replaced(value: str) -> str:
    bare = _bare(value)
    return value if "[masked" in bare or bare.startswith(("@", "$", "<", "-")) else mask("secret")


def _without_manifests(text: str) -> str:
    """Return a text without the values of Kubernetes' secrets, which stand under names of any kind."""
    if _SECRET_KIND.search(text) is None:
        return text
    text = _MANIFEST.sub(lambda match: match["head"] + _MANIFEST_LINE.sub(_hidden, match["value"]), text)
    return _JSON_MANIFEST.sub(lambda match: match["head"] + _JSON_VALUE.sub(_hidden, match["value"]), text)


_RULES: tuple[tuple[re.Pattern[str], Callable[[_Match], str]], ...] = (
    (CHANGED_TO, _hidden),
    (SENSITIVE, _hidden),
    (SENSITIVE_AFTER, _hidden),
    (STORED, _hidden),
    (STORED_PAIRS, _pairs),
    (SQL, _hidden),
    (SET_VARIABLE, _hidden),
    (PASS_FILE, _hidden_if_random),
    (QUOTED_AFTER_WORD, _hidden_if_random),
    (AFTER_WORD, _hidden_if_random),
    (NAMED, _hidden_if_random),
    (LOGGED_IN, _hidden_if_random),
)
_RULES_WITH_AT: tuple[tuple[re.Pattern[str], Callable[[_Match], str]], ...] = (
    (AT_ORACLE, _hidden_if_random),
    (AT_HOST, _hidden_if_random),
)


def without_contexts(text: str) -> str:
    """Return a text with what stands where statements, stores and manifests keep secrets masked."""
    text = _without_manifests(text)
    for rule, masked in (*_RULES, *(_RULES_WITH_AT if "@" in text else ())):
        text = rule.sub(masked, text)
    return text
