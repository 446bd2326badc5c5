"""The files of a run, and the end of the log inside a LOG_BUNDLE: a zip, read in memory and with little trust.

A file is fetched by a signed address: whoever has it has the file. Nothing is written to disk and no member's name is
used for anything but choosing. The archive's directory, the number of members and the unpacked size are all capped, so
that no archive can fill the memory.
"""

import io
import zipfile
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from bot.core.errors import NotFound, UnexpectedResponse
from bot.core.models import Job, Log
from bot.core.workers import in_worker
from bot.http.client import DOWNLOAD_BYTES, ApiClient
from bot.providers.base.logs import cleaned_log
from bot.providers.xcode_cloud import urls
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.wire import ArtifactAttributes, Document

BUNDLE_BYTES = 64 * 1024 * 1024
DIRECTORY_BYTES = 1024 * 1024
MEMBERS = 5000
TRIED = 40
UNPACKED_BYTES = 256 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
SNIFF_BYTES = 4096

_END_OF_DIRECTORY = b"PK\x05\x06"
_END_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_LOCATOR_BYTES = 20
_ZIP64_END = b"PK\x06\x06"
_ZIP64_BYTES = 56
_LONGEST_COMMENT_BYTES = 65535
_ENCRYPTED = 0x1
_READABLE = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class BadBundle(ValueError):
    """The archive can't be read, or is larger than a log has any reason to be. The text is a sentence's second half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of a text. `truncated` says that there is more above."""

    text: bytes
    truncated: bool


async def read_bundle(data: bytes, job: Job, keep: int) -> Log:
    """Return the end of a job's log out of its bundle, at most `keep` bytes; unpacked beside the event loop.

    Raises UnexpectedResponse for an archive that can't be trusted, NotFound for one without a text.
    """
    try:
        tail = await in_worker(partial(bundle_tail, keep=keep), data, grows=True)
    except BadBundle as exc:
        raise UnexpectedResponse(f"The log bundle of {job.name} {exc}.", provider=LABEL) from exc
    if tail is None:
        raise NotFound(f"The log bundle of {job.name} holds no text.", provider=LABEL)
    return Log(text=await cleaned_log(tail.text), truncated=tail.truncated, job=job.name, url=job.web_url)


def bundle_tail(data: bytes, keep: int) -> Tail | None:
    """Return the last `keep` bytes of the largest text, one named after xcodebuild first; None where there is no text.

    Raises BadBundle.
    """
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            members = bundle.infolist()
            if len(members) > MEMBERS:
                raise BadBundle(f"holds more than {MEMBERS} files")
            readable = [
                it
                for it in members
                if not it.is_dir() and it.file_size and not it.flag_bits & _ENCRYPTED and it.compress_type in _READABLE
            ]
            readable.sort(key=lambda it: ("xcodebuild" in it.filename.lower(), it.file_size), reverse=True)
            for member in readable[:TRIED]:
                if (tail := _text_tail(bundle, member, keep)) is not None:
                    return tail
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as exc:
        raise BadBundle("is damaged") from exc
    return None


def _check_directory(data: bytes) -> None:
    """Refuse an archive whose directory is too large before `zipfile` reads all of it, a zip64 one included."""
    end = data.rfind(_END_OF_DIRECTORY, max(len(data) - _LONGEST_COMMENT_BYTES - _END_BYTES, 0))
    if end < 0 or len(data) < end + _END_BYTES:
        raise BadBundle("is no zip archive")
    members, size = _number(data, end + 10, 2), _number(data, end + 12, 4)
    if end >= _LOCATOR_BYTES and data.startswith(_ZIP64_LOCATOR, end - _LOCATOR_BYTES):
        # `zipfile` believes the larger record, and looks for it right before its locator.
        record = end - _LOCATOR_BYTES - _ZIP64_BYTES
        if record < 0 or not data.startswith(_ZIP64_END, record):
            raise BadBundle("is damaged")
        members, size = _number(data, record + 32, 8), _number(data, record + 40, 8)
    if size > DIRECTORY_BYTES:
        raise BadBundle("holds too many files")
    if members > MEMBERS:
        raise BadBundle(f"holds more than {MEMBERS} files")


def _number(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")


def _text_tail(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, keep: int) -> Tail | None:
    if member.file_size > UNPACKED_BYTES:
        raise BadBundle(f"unpacks to more than {UNPACKED_BYTES // 1024**2} MiB")
    got = 0
    tail = bytearray()
    with bundle.open(member) as file:
        while chunk := file.read(CHUNK_BYTES):
            if got == 0 and b"\x00" in chunk[:SNIFF_BYTES]:
                return None
            got += len(chunk)
            tail += chunk
            if len(tail) > keep + CHUNK_BYTES:
                del tail[:-keep]
    text = bytes(tail[-keep:])
    if got > len(text):
        _, _, whole_lines = text.partition(b"\n")
        return Tail(text=whole_lines or text, truncated=True)
    return Tail(text=text, truncated=False)


async def stream(
    api: ApiClient, artifact: str, cap: int = DOWNLOAD_BYTES, *, allows_http: bool = False
) -> AsyncIterator[bytes]:
    """Yield an artifact's bytes, fetched without our token. The signed address is refused unless it is https."""
    reply = await api.get(urls.artifact(artifact), {"fields[ciArtifacts]": "downloadUrl"})
    url = reply.decode(Document).data.read(ArtifactAttributes).download_url
    if not url:
        raise NotFound("Apple has no address for this file; it may have expired.", provider=LABEL)
    if not (url.startswith("https://") or (allows_http and url.startswith("http://"))):
        raise UnexpectedResponse("Apple gave an address I don't fetch from.", provider=LABEL)
    async for chunk in api.download(url, credentials=False, cap=cap):
        yield chunk
