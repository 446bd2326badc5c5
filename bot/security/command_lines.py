"""Secrets among the arguments of command lines: which tool keeps one where."""

import re
from collections.abc import Mapping
from enum import StrEnum

from bot.security.masks import HARMLESS, REFERENCE, is_telling, mask

_Match = re.Match[str]
_QUOTED = r"\"[^\"\r\n]{1,2000}+\"|'[^'\r\n]{1,2000}+'"

# commands that take a secret as a plain word

_LOGIN = re.compile(
    r"(?P<head>(?<![\w./-])(?:cargo login|vault login|snyk auth|infracost auth|ngrok (?:config add-)?authtoken|nuget setapikey"
    r"|nuget push [^\s-]\S{0,200}\.s?nupkg|dotnet nuget push [^\n]{1,300}? -k|ionic login \S{3,100}|(?:npm|yarn|pnpm) config set \S{0,200}(?:_authToken|npmAuthToken|_password|_auth)"
    r"|poetry config pypi-token\.\S{1,100}|(?:poetry|composer) config (?:--\S{1,20} ){0,3}http-basic\.\S{1,100} \S{1,100}"
    r"|composer config (?:--\S{1,20} ){0,3}(?:github|gitlab|bitbucket)-(?:oauth|token)\.\S{1,100}|gh auth login --with-token"
    r"|net use \S{1,200}|net user \S{1,100}|htpasswd -[a-zA-Z]{0,5}b[a-zA-Z]{0,5} \S{1,200} \S{1,100}|pdftk \S{1,200} (?:user|owner)_pw)[ \t]{1,8})"
    rf"(?P<value>{_QUOTED}|[^\s'\"/\\*-][^\s'\"]{{3,2000}}+)"
)
_ORACLE = re.compile(
    r"(?P<head>(?<![\w./-])(?:sqlplus|sqlldr|expdp|impdp|rman|sqlcl)(?=[ \t])[^\n|;&]{0,120}?(?:[ \t\"']|\buserid=[\"']?)[\w$#.-]{1,64}/)"
    r"(?P<value>[^\s@/'\"]{3,100}+)(?=[@\s'\"]|\Z)"
)
_SCRIPT = re.compile(r".*\.(?:sql|ctl|par|log|dmp|dat|csv|txt|sh|rman|rcv)", re.IGNORECASE)
_SECURE_STRING = re.compile(
    rf"(?P<head>\bConvertTo-SecureString[ \t]{{1,8}}(?:-String[ \t]{{1,8}})?)(?P<value>{_QUOTED}|[^\s'\"$(-][^\s'\")]{{2,500}}+)",
    re.IGNORECASE,
)
_GEM_HOST = re.compile(
    r"(?P<head>\b(?:bundle config (?:set )?(?:--\w{1,10} ){0,2}[\w-]{1,100}\.[\w.-]{1,200}[ \t]{1,4}|BUNDLE_[A-Z0-9]{1,50}__[A-Z0-9_]{1,100}=)['\"]?[\w.@-]{1,100}:)"
    r"(?P<value>[^\s'\"/:]{3,500}+)(?![/:])"
)
_PIPED = re.compile(
    rf"(?P<head>\b(?:echo|printf)[ \t]{{1,4}}(?:-[neE]{{1,3}}[ \t]{{1,4}})?)(?P<value>{_QUOTED}|[^\s'\"|]{{3,2000}}+)"
    r"(?=[ \t]{0,4}\|[^\n|]{0,300}?(?:--password-stdin|\bchpasswd\b|--with-token|\bsudo -S|--passphrase-fd[ =]0|-pass(?:in)?[ =]stdin))"
)


def _masked(match: _Match) -> str:
    value = match["value"]
    bare = value.strip("'\"")
    if "[masked" in bare or REFERENCE.fullmatch(bare) or HARMLESS.fullmatch(bare):
        return match[0]
    quote = value[0] if value != bare else ""
    return f"{match['head']}{quote}{mask('secret')}{quote}"


def _logged_in(match: _Match) -> str:
    # "snyk auth succeeded" is prose.
    return _masked(match) if is_telling(match["value"]) or match["value"][0] in "'\"" else match[0]


def _at_database(match: _Match) -> str:
    return match[0] if _SCRIPT.fullmatch(match["value"]) else _masked(match)


# options of known tools


class _Secret(StrEnum):
    """Where an option keeps its secret: in the next word, glued to it, or behind a sign in the next word."""

    WORD = "word"
    GLUED = "glued"
    AT_LOGIN = "login"
    AFTER_COLON = ":"
    AFTER_COMMA = ","
    AFTER_EQUALS = "="
    AFTER_PERCENT = "%"
    AFTER_PREFIX = "pass:"


_TOOLS: Mapping[str, Mapping[str, _Secret]] = {
    tool: {option: how for names, how in options.items() for option in names.split()}
    for tools, options in (
        (
            "curl",
            {
                "-u --user -U --proxy-user": _Secret.AFTER_COLON,
                "-b --cookie": _Secret.AFTER_EQUALS,
                "--oauth2-bearer": _Secret.WORD,
            },
        ),
        ("java", {"-auth": _Secret.AFTER_COLON}),
        ("codecov vercel doctl fly flyctl", {"-t": _Secret.WORD}),
        ("netlify", {"--auth": _Secret.WORD}),
        ("browserstack", {"--key": _Secret.WORD}),
        ("db2", {"using": _Secret.WORD}),
        ("expo eas useradd usermod certutil beeline", {"-p": _Secret.WORD}),
        ("http https xh", {"-a --auth": _Secret.AFTER_COLON}),
        ("lftp ncftpput ncftpget", {"-u": _Secret.AFTER_COMMA, "-p": _Secret.WORD}),
        ("smbclient smbmap", {"-U": _Secret.AFTER_PERCENT}),
        (
            "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlsh mysqlshow mariadb mariadb-dump 7z 7za 7zz rar unrar",
            {"-p": _Secret.GLUED},
        ),
        ("zip unzip sqlcmd bcp osql isql", {"-P": _Secret.WORD}),
        ("sshpass plink pscp", {"-p -pw": _Secret.WORD}),
        ("redis-cli keydb-cli valkey-cli", {"-a --pass": _Secret.WORD}),
        ("mongo mongosh mongodump mongorestore mongoexport mongoimport", {"-p": _Secret.WORD}),
        ("ldapsearch ldapmodify ldapadd ldapdelete ldappasswd", {"-w": _Secret.WORD}),
        ("influx cqlsh clickhouse-client cypher-shell", {"-p -password": _Secret.WORD}),
        ("keytool jarsigner", {"-storepass -keypass -srcstorepass -deststorepass": _Secret.WORD}),
        ("apksigner", {"--ks-pass --key-pass": _Secret.AFTER_PREFIX}),
        ("openssl", {"-passin -passout -pass": _Secret.AFTER_PREFIX, "-k": _Secret.WORD}),
        ("security", {"-p -P -k": _Secret.WORD}),
        ("altool notarytool signtool twine poetry codesign", {"-p /p": _Secret.WORD}),
        ("docker podman buildah skopeo nerdctl helm oc az crane oras cf", {"-p": _Secret.AT_LOGIN}),
    )
    for tool in tools.split()
}
_TOOL = re.compile(
    rf"(?<![\w./=-])(?:[\w./-]{{0,80}}/)?(?P<tool>{'|'.join(sorted(map(re.escape, _TOOLS), key=len, reverse=True))})(?:\.exe)?(?=[ \t])"
)
_ARGUMENT = re.compile(r"\"[^\"\n]*+\"|'[^'\n]*+'|[^\s'\"]++(?:\"[^\"\n]*+\"|'[^'\n]*+')?+|['\"]")
_LINE = re.compile(r"(?:[^\n\\]++|\\(?:\r?\n)?)++")
"""A command line, with the lines that it goes on with behind a backslash."""
_BUNDLE = re.compile(r"-[a-zA-Z]{1,10}(?P<last>[a-zA-Z])")


def without_arguments(text: str) -> str:
    """Return a text with the secrets among the arguments of known tools masked."""
    text = _SECURE_STRING.sub(_masked, _ORACLE.sub(_at_database, _LOGIN.sub(_logged_in, text)))
    text = _GEM_HOST.sub(_masked, text)
    if "|" in text:
        text = _PIPED.sub(_masked, text)
    return _LINE.sub(_command_line, text) if _TOOL.search(text) else text


def _command_line(match: _Match) -> str:
    line = match[0]
    first = _TOOL.search(line)
    return line if first is None else line[: first.start()] + _arguments(line[first.start() :])


def _arguments(line: str) -> str:
    """Mask the secrets among the arguments of each known tool in a command line."""
    words: list[str] = []
    at = 0
    options: Mapping[str, _Secret] = {}
    pending: _Secret | None = None
    is_login = False
    for word in _ARGUMENT.finditer(line):
        words.append(line[at : word.start()])
        at = word.end()
        text = word[0]
        tool = text.rpartition("/")[2].removesuffix(".exe")
        if text == "\\":
            pass
        elif tool in _TOOLS and not pending:
            options, is_login = _TOOLS[tool], False
        elif text in {"|", "||", "&&", ";"}:
            options, is_login, pending = {}, False, None
        elif pending:
            text, pending = _hidden(text, pending), None
        elif text == "login":
            is_login = True
        elif options:
            text, pending = _option(text, options, is_login=is_login)
        words.append(text)
    return "".join([*words, line[at:]])


def _option(text: str, options: Mapping[str, _Secret], *, is_login: bool) -> tuple[str, _Secret | None]:
    """Return an argument as it is shown, and how the next one is to be hidden."""
    name, equals, value = text.partition("=")
    how = _meant(options.get(name), is_login=is_login)
    bundle = _BUNDLE.fullmatch(text)
    if how is None and bundle and options.get(f"-{bundle['last']}") is _Secret.AFTER_COLON:
        return text, _Secret.AFTER_COLON  # `-sSLu`
    if how is not None and how is not _Secret.GLUED:
        return (f"{name}={_hidden(value, how)}", None) if equals else (text, how)
    short = text[:2]
    how = _meant(options.get(short), is_login=is_login)
    if how is None or len(text) <= 2 or text in {"-port", "-pipe"} or text[2] == "=":
        return text, None
    return short + _hidden(text[2:], _Secret.WORD if how is _Secret.GLUED else how), None


def _meant(how: _Secret | None, *, is_login: bool) -> _Secret | None:
    """Return how an option keeps its secret; `docker -p` names a port unless it logs in."""
    if how is not _Secret.AT_LOGIN:
        return how
    return _Secret.WORD if is_login else None


def _hidden(word: str, how: _Secret) -> str:
    """Return an argument with its secret part masked: all of it, or what stands after a sign (`user:password`)."""
    quote = word[0] if word[:1] in {"'", '"'} else ""
    value = word.strip("'\"")
    if not value or value.startswith("-") or "[masked" in value or REFERENCE.fullmatch(value):
        return word
    if how is _Secret.WORD:
        return f"{quote}{mask('secret')}{quote}"
    head, sign, secret = value.partition(how)
    if not sign or not secret or REFERENCE.fullmatch(secret):
        return word
    return f"{quote}{head}{sign}{mask('secret')}{quote}"
