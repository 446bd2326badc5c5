"""Every command, in the order of the help text, and every form."""

from commands.act import approve, bisect, cancel, chains, erase, hold, rebuild, reject, release, retry, run
from commands.act.cancel_form import CancelForm
from commands.act.decide_form import DecideForm
from commands.act.run_form import RunForm
from commands.core.registry import Registry
from commands.follow import (
    claim,
    digest,
    follow,
    mute,
    quiet,
    schedule,
    subscribe,
    unclaim,
    undo,
    unfollow,
    unmute,
    unsubscribe,
    unwatch,
    watch,
)
from commands.follow.mute_form import MuteForm, QuietForm
from commands.follow.schedule_form import ScheduleForm
from commands.follow.subscribe_form import SubscribeForm
from commands.look import (
    approvals,
    artifacts,
    changes,
    explain,
    issues,
    jobs,
    last,
    logs,
    queue,
    show,
    stats,
    status,
    tests,
    why,
)
from commands.look import list as list_
from commands.setup import (
    access,
    audit,
    connect,
    credentials,
    disconnect,
    doctor,
    export,
    feeds,
    import_config,
    link,
    me,
    product,
    unlink,
    version,
    workflow,
)
from commands.setup import help as help_
from commands.setup.connect_form import ConnectForm
from commands.setup.credentials_form import CredentialsForm
from commands.setup.delete_forms import DeleteProductForm, DeleteWorkflowForm
from commands.setup.import_form import ImportForm
from commands.setup.link_form import LinkForm
from commands.setup.me_form import MeForm
from commands.setup.workflow_form import WorkflowForm

REGISTRY = Registry(
    commands=(
        status.COMMAND,
        last.COMMAND,
        show.COMMAND,
        list_.COMMAND,
        jobs.COMMAND,
        logs.COMMAND,
        tests.COMMAND,
        issues.COMMAND,
        artifacts.COMMAND,
        approvals.COMMAND,
        changes.COMMAND,
        why.COMMAND,
        stats.COMMAND,
        queue.COMMAND,
        explain.COMMAND,
        run.COMMAND,
        cancel.COMMAND,
        retry.COMMAND,
        rebuild.COMMAND,
        approve.COMMAND,
        reject.COMMAND,
        erase.COMMAND,
        bisect.COMMAND,
        chains.COMMAND,
        hold.COMMAND,
        release.COMMAND,
        watch.COMMAND,
        unwatch.COMMAND,
        subscribe.COMMAND,
        follow.COMMAND,
        unfollow.COMMAND,
        unsubscribe.COMMAND,
        mute.COMMAND,
        unmute.COMMAND,
        quiet.COMMAND,
        digest.COMMAND,
        schedule.COMMAND,
        claim.COMMAND,
        unclaim.COMMAND,
        undo.COMMAND,
        link.COMMAND,
        unlink.COMMAND,
        connect.COMMAND,
        credentials.COMMAND,
        disconnect.COMMAND,
        me.COMMAND,
        access.COMMAND,
        audit.COMMAND,
        feeds.COMMAND,
        export.COMMAND,
        import_config.COMMAND,
        doctor.COMMAND,
        workflow.COMMAND,
        product.COMMAND,
        help_.COMMAND,
        version.COMMAND,
    ),
    forms=(
        RunForm(),
        CancelForm(),
        DecideForm(),
        SubscribeForm(),
        MuteForm(),
        QuietForm(),
        ScheduleForm(),
        LinkForm(),
        ConnectForm(),
        CredentialsForm(),
        MeForm(),
        WorkflowForm(),
        DeleteWorkflowForm(),
        DeleteProductForm(),
        ImportForm(),
    ),
)
