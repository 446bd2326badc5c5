"""The modals: forms that end in the verbs one could have typed."""

from collections.abc import Mapping

from commands.act.cancel_form import CancelForm
from commands.act.decide_form import DecideForm
from commands.act.run_form import RunForm
from commands.core.forms import Form
from commands.follow.mute_form import MuteForm, QuietForm
from commands.follow.schedule_form import ScheduleForm
from commands.follow.subscribe_form import SubscribeForm
from commands.setup.connect_form import ConnectForm
from commands.setup.link_form import LinkForm
from commands.setup.me_form import MeForm

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
