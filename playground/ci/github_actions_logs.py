"""The logs of GitHub's jobs, as files."""

import io
import zipfile

from playground.ci import job_output
from playground.ci.model import (
    Artifact,
    Build,
    Job,
)


def log_file(build: Build, job: Job, now: float) -> Artifact:
    """Return a job's log as far as it is written."""
    times = job_output.log_times(build, job, now)
    shown = job_output.visible(build, job, now)
    text = "".join(f"{at} {_log_line(line)}\n" for at, line in zip(times, shown, strict=True))
    return Artifact(
        uid=job.uid, number=0, path=f"{job.step.name}.txt", kind="log", mime="text/plain", content=text.encode()
    )


def log_archive(build: Build, now: float) -> Artifact:
    """Return the logs of a run's jobs as an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for index, job in enumerate(build.current):
            bundle.writestr(zipfile.ZipInfo(f"{index}_{job.step.name}.txt"), log_file(build, job, now).content)
    return Artifact(
        uid=build.uid, number=0, path="logs.zip", kind="logs", mime="application/zip", content=buffer.getvalue()
    )


def _log_line(line: job_output.Line) -> str:
    prefix = {"section": "##[group]", "command": "##[command]", "warning": "##[warning]", "error": "##[error]"}
    return f"{prefix.get(line.kind, '')}{line.text if line.kind in prefix else line.coloured}"
