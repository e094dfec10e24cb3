"""Renders files as piped does before it reads them: what `spec.attachment` attaches, and where `spec.encryption` decrypts.

piped decrypts first, then attaches. Each target is rendered once for each time that it is named, from sources as they were then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from slipway.app.go_template import TemplateError, render
from slipway.app.pipecd import Attachment, Encryption
from slipway.app.problems import FileError, Problem
from slipway.app.taskdef import TaskDefinition, parse_taskdef

Read = Callable[[str], bytes | None]
"""Gives a file of the application's folder by its path there, or none where it is not there."""
SECRET = "(a secret that piped decrypts)"  # noqa: S105 -- what is shown in its place
"""What stands for a secret where piped launches the task and Slipway only reads the file."""


def render_file(
    file: str, content: bytes, read: Read, attachment: Attachment | None, encryption: Encryption | None = None
) -> str:
    """A file as piped reads it.

    Args:
        file: The file's path in the application's folder.
        content: The file.
        read: Gives the files that are attached.
        attachment: What is attached to which files.
        encryption: What piped decrypts; its secrets are not known here, and stand as `SECRET`.

    Raises:
        FileError: The file is not UTF-8, a source is not there, or a template is more than Slipway renders.
    """
    secrets = dict.fromkeys(encryption.encrypted_secrets, SECRET) if encryption else {}
    decrypted = encryption.decryption_targets if encryption and secrets else ()
    sources = _sources(attachment, read) if attachment and uses(attachment, file) else {}
    data = {"encryptedSecrets": secrets, "attachment": sources}
    if attachment:
        for name, source in attachment.sources.items():
            if name in sources:
                sources[name] = _rendered(source, sources[name], decrypted.count(source), data)
    text = _rendered(file, _decoded(file, content), decrypted.count(file), data)
    return _rendered(file, text, attachment.targets.count(file) if attachment and sources else 0, data)


async def read_definition(
    file: str,
    read: Callable[[Collection[str]], Awaitable[Mapping[str, bytes | None]]],
    attachment: Attachment | None,
    shown_as: str,
) -> TaskDefinition:
    """The task definition that a file says, rendered from the files beside it.

    Args:
        file: The file's path in the application's folder.
        read: Gives files of that folder at one commit.
        attachment: What is attached to which files.
        shown_as: The file's name in problems.

    Raises:
        FileError: A file is not there, cannot be rendered, or holds no task definition.
    """
    files = [file, *(attachment.sources.values() if attachment and uses(attachment, file) else ())]
    contents = await read(files)
    content = contents[file]
    if content is None:
        raise _unreadable(shown_as, "is not there", "add it to the app's folder")

    def parse(content: bytes) -> TaskDefinition:
        return parse_taskdef(render_file(file, content, contents.get, attachment), shown_as)

    # Strangers write both files; other promotions go on meanwhile.
    return await asyncio.to_thread(parse, content)


def uses(attachment: Attachment, file: str) -> bool:
    """Whether anything is attached to a file."""
    return file in attachment.targets and bool(attachment.sources)


def _sources(attachment: Attachment, read: Read) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, file in attachment.sources.items():
        content = read(file)
        if content is None:
            raise _unreadable(file, "is not there", f"add it to the app's folder: spec.attachment.sources names it {name}")
        # It may be no text at all: b64enc takes any bytes.
        texts[name] = content.decode(errors="surrogateescape")
    return texts


def _rendered(file: str, text: str, times: int, data: Mapping[str, Mapping[str, str]]) -> str:
    known = {key: values for key, values in data.items() if values}
    for _ in range(times):
        try:
            text = render(text, known)
        except TemplateError as error:
            problem = Problem(file=file, line=error.line, column=error.column, path="", message=error.message, help=error.help)
            raise FileError(f"rendering {file}", [problem]) from error
    if times:
        _refuse_bytes(file, text)
    return text


def _refuse_bytes(file: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _unreadable(file, "has a file attached that is not UTF-8", "attach it by b64enc") from error


def _decoded(file: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(file, "is not UTF-8", "save it as UTF-8") from error


def _unreadable(file: str, message: str, help_: str) -> FileError:
    return FileError(f"reading {file}", [Problem(file=file, line=0, column=0, path="", message=message, help=help_)])
