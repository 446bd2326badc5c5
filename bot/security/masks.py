"""What stands where a secret stood, and what stands there already and is none."""

import re

MASK = "[masked: "


def mask(what: str) -> str:
    """Return what stands where a secret stood."""
    return f"{MASK}{what}]"


HARMLESS = re.compile(
    r"\$[\w{(%].*|%\w+%|<[^>]*>?|\{\{.*|\{|[*•.xX…-]{3,}.*|\[.*|\(.*|None|null|nil|true|false|yes|no|on|off|undefined|empty|required|optional"
    r"|missing|invalid|expired|wrong|incorrect|unset|unknown|redacted|hidden|masked|default|prompt|string|text|bytes|int|number|object|array"
    r"|bool(?:ean)?|str(?:ing)?\??|any|secret(?:str)?|password|token|bearer|basic|value|field|input|env|stdin|file|keychain|vault|generated"
    r"|(?:not|is|was|has|the|to|and|or|for|with|from|of|in|must|may|can|will|should|see|please|needs?|option|flag|argument|parameter|saved|stored"
    r"|ok|accepted|rejected|refreshed|found|ignored|changed|updated|created|removed|revoked|mismatch|reset|failed|error|count|length|type)\b.*"
    r"|\d{1,3}|[a-z_][\w.]*\(.*|(?:await|new|self|this|process|os|env|secrets|vars?|config|settings|params|inputs|github|data|local|module|ctx|request|req)"
    r"(?:[ .].*|\[.*)|(?:~|\.{1,2})?/(?:[\w.-]+/)+[\w.-]*|[A-Za-z]:[\\/].*|@[\w./-]+|arn:aws.*|projects/.*/secrets/.*|op://.*|vault:.*|ssm:.*",
    re.IGNORECASE,
)
"""What stands where a secret would, and is none: a reference to one, a mask, a type, a path, a plain word of prose."""
REFERENCE = re.compile(r"\$[\w{(].*|%\w+%|\{\{.*|<[^>]*>|[*•.]{3,}", re.DOTALL)
"""A reference to a secret, or a mask."""


def is_telling(word: str) -> bool:
    """Return whether a word reads as a credential and no prose: it holds a figure, or capitals among small letters."""
    has_cases = any(char.isupper() for char in word) and any(char.islower() for char in word)
    return has_cases or any(char.isdigit() for char in word)


def is_random(word: str) -> bool:
    """Return whether a word reads as made by a machine: long, with figures strewn among letters of both cases, or many."""
    figures = sum(char.isdigit() for char in word)
    has_cases = any(char.isupper() for char in word) and any(char.islower() for char in word)
    if len(word) < 8 or figures == 0 or not any(char.isalpha() for char in word):
        return False
    return (has_cases and (figures > 1 or len(word) > 11)) or (
        len(word) > 19 and figures > 4 and _RANDOM.fullmatch(word) is not None
    )


_RANDOM = re.compile(r"[A-Za-z0-9+/=_]+")
