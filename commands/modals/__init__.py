"""The modals: forms that end in the verbs one could have typed."""

from collections.abc import Mapping

from commands.forms import Form
from commands.modals.cancel import CancelForm
from commands.modals.connect import ConnectForm
from commands.modals.decide import DecideForm
from commands.modals.link import LinkForm
from commands.modals.me import MeForm
from commands.modals.mute import MuteForm, QuietForm
from commands.modals.run import RunForm
from commands.modals.schedule import ScheduleForm
from commands.modals.subscribe import SubscribeForm

FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        RunForm(),
        CancelForm(),
        DecideForm(),
        SubscribeForm(),
        MuteForm(),
        QuietForm(),
        ScheduleForm(),
        LinkForm(),
        ConnectForm(),
        MeForm(),
    )
}
