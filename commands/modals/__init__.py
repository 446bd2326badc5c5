"""The modals: forms that end in the verbs one could have typed."""

from collections.abc import Mapping

from commands.forms import Form
from commands.modals.run import RunForm

FORMS: Mapping[str, Form] = {form.name: form for form in (RunForm(),)}
