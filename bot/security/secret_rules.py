"""The rules of `redaction`.

They know secrets by shape (a vendor's prefix) and by context (what stands before them: a header, an assignment to a
telling name, an option of a command line, the user part of an address). A mask says what was there, so that a reader
knows which secret to change. Ordinary lines pass unchanged. Every rule reads the text once; `redact` says how long
texts are cut. The shapes are in `secret_shapes`, a table of examples and near misses in the tests.
"""

import re
from collections.abc import Callable, Iterator

from bot.security.command_lines import without_arguments
from bot.security.masks import HARMLESS, MASK, is_random, is_telling, mask
from bot.security.secret_contexts import without_contexts
from bot.security.secret_shapes import BARE_SHAPES, SHAPES

_Match = re.Match[str]

PIECE_CHARACTERS = 32_768
"""How much one rule reads at a time: between two pieces other threads get their turn."""


def redact(text: str) -> str:
    """Return a text as `redaction.redact` does."""
    text = _without_keys(text)
    if len(text) <= PIECE_CHARACTERS:
        return _redact_piece(text)
    return "".join(_redact_piece(piece) for piece in _pieces(text))


def _redact_piece(text: str) -> str:
    text = _without_tokens(text)
    for rule, masked in _RULES:
        text = rule.sub(masked, text)
    return without_contexts(without_arguments(text))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        for mark in ("\n", " "):
            at = text.rfind(mark, start, end)
            if at > start:
                end = at + 1
                break
        yield text[start:end]
        start = end
    yield text[start:]


# private keys, which go over many lines

_KEY_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?[^\n]*")
_KEY_LINES = re.compile(r"[A-Za-z0-9+/=\s]*+\Z")
_PUTTY_LINES = re.compile(r"(Private-Lines: \d{1,4}\r?\n)(?:[A-Za-z0-9+/=]+\r?\n?)++")


def _without_keys(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _without_blocks(_without_tail(text))
    return (
        _PUTTY_LINES.sub(lambda match: f"{match[1]}{mask('private key')}\n", text) if "Private-Lines" in text else text
    )


def _without_tail(text: str) -> str:
    """Mask the end of a key whose beginning is not part of the text."""
    end = _KEY_END.search(text)
    if end is None or "-----BEGIN " in text[: end.start()]:
        return text
    before = text[: end.start()].rpartition("\n")[0]
    is_key = not before or _KEY_LINES.match(before) is not None
    return f"{mask('private key')}{text[end.end() :]}" if is_key else text


def _without_blocks(text: str) -> str:
    parts: list[str] = []
    at = 0
    while (begin := _KEY_BEGIN.search(text, at)) is not None:
        closing = f"-----END {begin[1]}-----"
        end = text.find(closing, begin.end())
        parts += [text[at : begin.start()], mask("private key")]
        at = len(text) if end == -1 else end + len(closing)
    return "".join([*parts, text[at:]])


# tokens with a shape of their own


def _any_of(prefixes: list[str]) -> str:
    """Return a pattern for any of some texts in which no beginning is tried twice."""
    rest: dict[str, list[str]] = {}
    for prefix in prefixes:
        if not prefix:
            return ""
        rest.setdefault(prefix[0], []).append(prefix[1:])
    parts = [re.escape(first) + _any_of(tails) for first, tails in rest.items()]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


_AFTER: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _what, _prefixes, _rest in SHAPES:
    for _prefix in _prefixes.split():
        _AFTER.setdefault(_prefix, []).append((_what, re.compile(_rest)))
_LENGTHS = sorted({len(prefix) for prefix in _AFTER}, reverse=True)
_LONGEST = _LENGTHS[0]
_PREFIX = re.compile(
    f"(?<![A-Za-z0-9_])(?=[{re.escape(''.join(sorted({prefix[0] for prefix in _AFTER})))}]){_any_of(sorted(_AFTER))}"
)


def _without_tokens(text: str) -> str:
    for what, sign, shape in BARE_SHAPES:
        if sign in text:
            text = shape.sub(mask(what), text)
    parts: list[str] = []
    at = 0
    begin = _PREFIX.search(text)
    while begin is not None:
        end = begin.end()
        token = _shape_at(text, begin.start())
        if token is not None:
            parts += [text[at : begin.start()], mask(token[0])]
            at = end = token[1]
        begin = _PREFIX.search(text, end)
    return "".join([*parts, text[at:]]) if parts else text


def _shape_at(text: str, start: int) -> tuple[str, int] | None:
    """Return what the token that begins at `start` is, and where it ends; None where nothing fits after its beginning."""
    longest = text[start : start + _LONGEST]
    for length in _LENGTHS:
        for what, rest in _AFTER.get(longest[:length], ()):
            if (match := rest.match(text, start + length)) is not None:
                return what, match.end()
    return None


# addresses: the user part, signed queries

_ADDRESS = re.compile(r"(?<=[A-Za-z0-9])://[^\s'\"<>`]++")
_SIGNED = re.compile(
    r"(?:signature|(?<![a-z])sig|x-amz-credential|x-goog-credential|x-amz-security-token|awsaccesskeyid|token|api_?key"
    r"|key-pair-id|password|passwd|secret|(?<![a-z])code|access_?key)=|(?<![a-z_-])key=[a-z0-9_-]{16}",
    re.IGNORECASE,
)
_PORT = re.compile(r"\d{1,5}(?=[/?#]|\Z)")
_HOST = re.compile(
    r"(?:(?:[A-Za-z0-9_-]{1,63}\.){1,20}[A-Za-z][A-Za-z0-9-]{0,62}|(?:\d{1,3}\.){3}\d{1,3}|localhost|\[[0-9a-fA-F:.]{2,45}\]"
    r"|[A-Za-z0-9_-]{1,63}(?=:\d{1,5}))\.?(?:[:/?#,;)]|\Z)"
)
_WHOLE_TOKEN = re.compile(r"[A-Za-z0-9_.~+%-]{16,500}")
ADDRESS_CHARACTERS = 4_000


def _address(match: _Match) -> str:
    """Mask the user part of each address in a run without spaces, and a query that carries a signature or a secret."""
    pieces = match[0].split("://")
    is_web = match.string[max(match.start() - 5, 0) : match.start()].lower().endswith(("http", "https"))
    masked = [pieces[0]]
    for piece in pieces[1:]:
        masked.append(_without_query(_without_user(piece, is_web=is_web)))
        is_web = piece.lower().endswith(("http", "https"))
    return "://".join(masked)


def _without_user(piece: str, *, is_web: bool) -> str:
    head = piece[:ADDRESS_CHARACTERS]
    at = _user_end(head)
    if at is None:
        user, sign, _host = head.partition("@")
        if not (sign and is_web and _WHOLE_TOKEN.fullmatch(user)):
            return piece
        at = len(user)
    return f"{mask('credentials')}{piece[at:]}"


def _user_end(address: str) -> int | None:
    """Return where `user:password` ends, which is the last `@` before a host. The password may hold `/`, `@`, `:`."""
    user, colon, rest = address.partition(":")
    first = re.split(r"[/?#]", address, maxsplit=1)[0]
    if "@" in first and ":" not in first:
        return None
    if not colon or any(mark in user for mark in "/?#"):
        return None
    ends = [at for at, char in enumerate(address) if char == "@" and at > 0]
    hosts = [at for at in ends if _HOST.match(address, at + 1)]
    if "@" in first:
        within = len(first) - 1 - first[::-1].index("@")
        # Beyond the first slash only something that reads as a host's name can be one.
        return max([within, *(at for at in hosts if _in_password(address, within, at))])
    is_port = _PORT.match(rest) is not None and ("." in user or user in {"localhost", ""} or not hosts)
    if is_port or not ends:
        return None
    return hosts[-1] if hosts else ends[-1]


def _in_password(address: str, within: int, at: int) -> bool:
    """Return whether the `@` at `within` stands inside a password that goes on to `at`: it names no host itself."""
    return at > within and _HOST.match(address, within + 1) is None


_HOOK_PATH = re.compile(
    r"(?P<head>/(?:(?:web|incoming)?-?hooks?|webhooks?|services|incoming)/(?:[\w.~-]{1,60}/){0,3})(?P<value>[A-Za-z0-9_-]{16,300}+)(?=[/?#]|\Z)"
)


def _without_hook(base: str) -> str:
    """Mask the part of a webhook's address that is its key."""
    match = _HOOK_PATH.search(base)
    if match is None or not (is_random(match["value"]) or _HOOK_KEY.fullmatch(match["value"])):
        return base
    return base[: match.start("value")] + mask("webhook key") + base[match.end("value") :]


_HOOK_KEY = re.compile(r"(?=[a-z]{0,30}[0-9])[a-z0-9]{24,64}")


def _without_query(piece: str) -> str:
    base, mark, query = piece.partition("?")
    base = _without_hook(base)
    return f"{base}?{mask('signed query')}" if mark and _SIGNED.search(query) else f"{base}{mark}{query}"


_ORACLE = re.compile(r"(?P<head>\bjdbc:oracle:[a-z]{2,4}:)[^\s/@'\"]{1,100}/[^\s'\"]{1,200}?(?=@)")

# headers and schemes

_SCHEME = re.compile(
    r"(?P<head>\b(?:Bearer|Basic|Token|token|ApiKey|Apikey|apikey|Api-Key|api-key|GenieKey|SSWS)(?:[ \t]{1,8}|%20|\+)(?:token=\\?[\"']?)?)(?P<word>[A-Za-z0-9+/_.~=-]{16,})"
)
_HEADER = re.compile(
    r"(?P<head>(?<![A-Za-z0-9])(?:(?:proxy-)?authorization|(?:private|job|deploy|circle)-token|x-(?:api|auth|goog-api|gitlab|buildkite|vault"
    r"|shopify-access|figma|amz-security|sonar|rundeck-auth|jfrog-art)-?(?:key|token|api)?|dd-(?:api|application)-key|api-key"
    r"|x-honeycomb-team|ocp-apim-subscription-key|x-functions-key|(?:x-)?apikey(?=: )|(?:set-)?cookie)['\"]?\s{0,20}:\s{0,20}['\"]?(?:(?:bearer|basic|token|digest|negotiate|apikey)\s{1,20}(?:token=\\?[\"']?)?)?)"
    r"(?P<word>[^\s'\"]{4,}[^\r\n'\"]*)",
    re.IGNORECASE,
)


def _header(match: _Match) -> str:
    word = match["word"]
    return (
        match[0]
        if word.startswith((MASK.strip(), "$", "{", "<")) or HARMLESS.fullmatch(word)
        else match["head"] + mask("credentials")
    )


def _scheme(match: _Match) -> str:
    # "token refreshed-successfully" is prose: a credential holds a figure or capitals among small letters.
    word = match["word"]
    return match["head"] + mask("credentials") if is_telling(word) else match[0]


# sessions

_SESSION = re.compile(
    r"(?P<head>(?<![A-Za-z0-9])(?:JSESSIONID(?:\.[0-9a-f]{1,10})?|PHPSESSID|ASP\.NET_SessionId|\.ASPXAUTH|\.AspNetCore\.\w{1,40}|connect\.sid"
    r"|session_?id|_session_id|_?[a-z]{1,30}_session|myacinfo|DES[0-9a-f]{20,64})['\"]?[=:][ \t]{0,2}['\"]?)(?P<value>[^\s;'\",&\\]{12,4000}+)",
    re.IGNORECASE,
)
_FASTLANE = re.compile(
    r"(?P<head>\bFASTLANE_SESSION['\"]?[ \t]{0,4}[=:][ \t]{0,4})(?P<value>[\"']?---[^\n]{8,32000}|[\"']?---$)",
    re.MULTILINE,
)
_COOKIE_VALUE = re.compile(
    r"(?P<head>\bname:(?:\\?[ \t]){1,4}(?:DES[0-9a-f]{4,64}|myacinfo|dqsid|itctx|wosid|woinst|dslang|site|aasp)(?:\s|\\n|\\){1,40}value:(?:\\?[ \t]){1,4})"
    r"(?P<value>[^\s\\\[]{8,8000}+)"
)
"""A cookie of Apple's in the YAML that `fastlane spaceauth` prints, its line breaks as such or as `\\n`."""
_SONAR_LOGIN = re.compile(
    r"(?P<head>(?<![a-z_])sonar\.login[ \t]{0,4}[=:][ \t]{0,4})(?P<value>\"[^\"\r\n]{3,500}+\"|'[^'\r\n]{3,500}+'|[^\s'\"]{3,500}+)"
)
_LARAVEL = re.compile(
    r"(?P<head>\bAPP_KEY['\"]?[ \t]{0,4}[=:][ \t]{0,4}['\"]?)(?P<value>base64:[A-Za-z0-9+/=]{16,200}+)"
)
_ADDED_MASK = re.compile(
    r"(?P<head>::add-mask::|##\[add-mask\]|##vso\[task\.setvariable [^\]\n]{0,200}issecret=true[^\]\n]{0,100}\])(?P<value>[^\s][^\n]{0,4000}+)",
    re.IGNORECASE,
)
"""A command to the runner that names a secret so that it be masked; where it is printed, it was not."""
_TOLD = re.compile(
    r"(?P<head>\b(?:password|passphrase|passcode|token|secret|api key)(?: (?:is|was|are|generated|created|set|entered|used|received|for \S{1,100})){1,4} ?[:=] ?)"
    r"(?P<value>[^\s'\"]{6,500}+)",
    re.IGNORECASE,
)


def _session(match: _Match) -> str:
    return match["head"] + mask("session") if is_telling(match["value"]) else match[0]


def _login_of_sonar(match: _Match) -> str:
    # It is a token, or a user's name beside `sonar.password`.
    value = match["value"].strip("'\"")
    return _held(match) if len(value) >= 16 or any(sign.isdigit() for sign in value) else match[0]


def _told(match: _Match) -> str:
    return _held(match) if is_telling(match["value"]) else match[0]


# assignments to telling names

_KEY = "[_.-]?key"
_NAME = (
    "(?=[pastkcemldwrhjn])(?:"
    rf"p(?:asswor[dt]|asswd|(?<=sshp)ass(?==)|assphrase|asscode|rivate{_KEY}|(?<=[_.-]p)(?:ass|wd|at)|(?<=[;\"'\s]p)wd(?==))"
    rf"|s(?:ecret(?:{_KEY})?|haredaccess(?:key|signature)|(?:igning|ervice|torage){_KEY}|tore[_-]?pass|(?<=[?&-]s)ignature(?==)|(?<=[?&]s)ig(?==))"
    rf"|a(?:pi[_.-]?keys?|(?:ccess|ccount|uth){_KEY}|uth[_.-]?token|(?<=[_.-]a)uth|(?<=\"a)uth(?=\"\s{{0,4}}:))"
    rf"|h(?:mac{_KEY})|j(?:wt{_KEY})|client-key-data|npmauthident|(?:session|cookie){_KEY}"
    rf"|token|key[_-]?pass|credentials?|connectionstring|(?:encryption|master|license|deploy|webhook){_KEY}|rediscli_auth)"
    r"(?:[_.-]?(?:key|value|base64|b64|base|plain|text|string|file_?content))?"
)
_QUOTED = r"\"(?:[^\"\\\r\n]|\\.){1,2000}+\"|'(?:[^'\\\r\n]|\\.){1,2000}+'|\\\"[^\"\\\r\n]{1,2000}+\\\""
_ASSIGNED = re.compile(
    rf"(?P<name>{_NAME})(?P<sign>(?:\\?['\"])?\]?[ \t]{{0,60}}(?:=>|:=|==?|:(?!//))[ \t]{{0,20}})"
    rf"(?P<value>{_QUOTED}|[^\s'\",;)&|\]}}<>`\\]{{3,}})",
    re.IGNORECASE,
)
_WHOLE_NAME = re.compile(
    rf"(?:.{{0,100}}[^A-Za-z]|[A-Z_0-9]{{0,60}})?(?:{_NAME})\Z|.{{0,60}}[a-z](?=[A-Z])(?:{_NAME})\Z",
    re.IGNORECASE | re.DOTALL,
)


def is_secret_name(name: str) -> bool:
    """Return whether a value under this name is a secret: `DB_PASSWORD`, `clientSecret`, `api-key`."""
    return _WHOLE_NAME.match(name[:200]) is not None


_ELEMENT = re.compile(
    rf"(?P<head><[A-Za-z0-9_.:-]{{0,40}}{_NAME}(?: [^<>\n]{{0,200}})?>)(?P<value>[^<>\n]{{3,500}})(?=</)", re.IGNORECASE
)
_ATTRIBUTE = re.compile(
    rf"(?P<head>(?:name|key|id)=[\"'][^\"'<>\n]{{0,60}}?{_NAME}[\"'][^<>\n\"']{{0,40}}value=[\"'])(?P<value>[^\"'\n]{{3,500}})",
    re.IGNORECASE,
)
_PAIR = re.compile(
    rf"(?P<head>[\"']?\b(?:name|key)[\"']?[ \t]{{0,4}}:[ \t]{{0,4}}[\"']?[A-Za-z0-9_.-]{{0,60}}?{_NAME}[\"']?[ \t]{{0,4}},?\s{{0,40}}"
    r"(?:[\"']?type[\"']?[ \t]{0,4}:[ \t]{0,4}[\"']?\w{1,30}[\"']?,?\s{0,40})?"
    rf"[\"']?value[\"']?[ \t]{{0,4}}:[ \t]{{0,4}})(?P<value>{_QUOTED}|[^\s'\",;)}}\]]{{3,}})",
    re.IGNORECASE,
)
_FLAG = re.compile(
    r"(?P<name>(?<![^\s'\"=(])--?(?:[a-z0-9-]{0,30}-)?(?:password|passwd|passphrase|secret|token|api-?key|access-key|account-key|secret-key"
    r"|auth-token|private-token|storepass|keypass|pw|(?:sftp|ftp|http|proxy|user|db|admin|root|ssh|smtp|ldap|cert|webdav|become)-pass))"
    r"(?P<sign>[ \t]{1,20})(?P<value>\"[^\"\r\n]{1,2000}+\"|'[^'\r\n]{1,2000}+'|[^\s'\"-]\S{2,})",
    re.IGNORECASE,
)
_DECLARED = re.compile(
    rf"(?P<head>(?<!\w)(?:(?:ENV|ARG|setx?|setenv)[ \t]{{1,8}}\w{{0,60}}?{_NAME}|(?:store|key)Password)[ \t]{{1,8}})"
    rf"(?P<value>{_QUOTED}|[^\s'\"=-]\S{{5,}})",
    re.IGNORECASE,
)
"""`ENV API_KEY value` of a container file, `storePassword 'value'` of a Gradle file."""
_LITERAL = re.compile(r"(?P<head>--from-literal(?:=|[ \t]{1,8})['\"]?[\w.-]{1,100}=)(?P<value>[^\s'\"]{3,2000}+)")
_SHORT = re.compile(
    r"(?P<head>(?<![\w-])(?:pass|pwd?|mot[ _]?de[ _]?passe|contrase[ñn]a|clave|senha|kennwort|wachtwoord|hasło|parola|пароль|密码|密碼"
    r"|パスワード|비밀번호)[ \t]{0,8}[=:：][ \t]{0,8})(?P<value>\"[^\"\r\n]{3,500}+\"|'[^'\r\n]{3,500}+'|[^\s'\",;)&|<>]{6,500}+)",
    re.IGNORECASE,
)
"""Short names and those of other languages: a value is one that holds letters and figures, or stands in quotes."""
_LITTLE_NUMBER = re.compile(r"\d{1,6}%?")


def _assigned(match: _Match) -> str:
    whole = match["value"]
    value = whole.strip("\\").strip("'\"").strip("\\")
    if value.startswith(MASK.strip()) or HARMLESS.fullmatch(value):
        return match[0]
    name, sign = match["name"].lower(), match["sign"].strip("\\'\"] \t")
    if "pass" not in name and "pwd" not in name and _LITTLE_NUMBER.fullmatch(value):
        return match[0]
    if whole == value and sign == ":" and not _alone(match):
        # "secret: see the wiki" is prose; behind a colon only one word at the line's end is a value.
        return match[0]
    if whole == value and sign in {"=", ":=", "=="} and _is_code(match):
        return match[0]
    opening = whole[: len(whole) - len(whole.lstrip("\\'\""))]
    return f"{match['name']}{match['sign']}{opening}{mask('secret')}{opening}"


def _alone(match: _Match) -> bool:
    """Return whether nothing but punctuation follows on the line."""
    return _LINE_END.match(match.string, match.end(), match.end() + 20) is not None


_LINE_END = re.compile(r"[\s,;)}\]&|'\"\\]*(?:\Z|[\r\n])")
_CALLED = re.compile(r"[A-Za-z_][\w.]*\Z")


def _is_code(match: _Match) -> bool:
    """Return whether a bare value is a name that is called or indexed: `token = makeToken(for: user)`."""
    after = match.string[match.end() : match.end() + 1]
    return after in {"(", "["} and _CALLED.match(match["value"]) is not None


def _held(match: _Match) -> str:
    value = match["value"]
    bare = value.strip("'\"")
    if bare.startswith(MASK.strip()) or HARMLESS.fullmatch(bare):
        return match[0]
    quote = value[0] if value != bare else ""
    return f"{match['head']}{quote}{mask('secret')}{quote}"


def _shortly_named(match: _Match) -> str:
    bare = match["value"].strip("'\"")
    is_mixed = any(sign.isdigit() for sign in bare) and any(sign.isalpha() for sign in bare)
    return _held(match) if is_mixed or bare != match["value"] else match[0]


def _flagged(match: _Match) -> str:
    value = match["value"].strip("'\"")
    if value.startswith(MASK.strip()) or HARMLESS.fullmatch(value):
        return match[0]
    return f"{match['name']}{match['sign']}{mask('secret')}"


_NETRC = re.compile(
    r"(?P<head>\b(?:machine[ \t\r\n]{1,20}[^\s]{1,255}|default)(?=[ \t\r\n]))"
    r"(?P<rest>(?:[ \t\r\n]{1,20}(?:login|account|password)[ \t]{1,20}[^\s]{1,500}){1,3}+)",
)
_NETRC_PASSWORD = re.compile(r"(\bpassword[ \t]{1,20})[^\s]{1,500}")


def _netrc(match: _Match) -> str:
    if "[masked" in match["rest"]:
        return match[0]
    return match["head"] + _NETRC_PASSWORD.sub(rf"\1{mask('secret')}", match["rest"])


_RULES: tuple[tuple[re.Pattern[str], Callable[[_Match], str]], ...] = (
    (_ORACLE, lambda match: match["head"] + mask("credentials")),
    (_ADDRESS, _address),
    (_HEADER, _header),
    (_SCHEME, _scheme),
    (_NETRC, _netrc),
    (_ATTRIBUTE, _held),
    (_PAIR, _held),
    (_ELEMENT, _held),
    (_ASSIGNED, _assigned),
    (_FLAG, _flagged),
    (_DECLARED, _held),
    (_LITERAL, _held),
    (_SHORT, _shortly_named),
    (_FASTLANE, lambda match: match["head"] + mask("session")),
    (_COOKIE_VALUE, lambda match: match["head"] + mask("session")),
    (_SESSION, _session),
    (_SONAR_LOGIN, _login_of_sonar),
    (_LARAVEL, _held),
    (_ADDED_MASK, _held),
    (_TOLD, _told),
)
