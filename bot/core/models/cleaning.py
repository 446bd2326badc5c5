"""Text from outside is cleaned where a model takes it in."""

from collections.abc import Callable


def clean_fields(subject: object, clean: Callable[[str], str], *fields: str) -> None:
    """Replace text fields of a frozen value by what `clean` makes of them; None stays."""
    for field_name in fields:
        text = getattr(subject, field_name)
        if text is not None and (cleaned := clean(text)) is not text:
            object.__setattr__(subject, field_name, cleaned)
