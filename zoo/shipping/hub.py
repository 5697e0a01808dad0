"""An exported folder on the Hugging Face Hub, by its own client."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import RunError, ZooError
from zoo.shipping.folder import CARD, export_of

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def check_target(name: str) -> None:
    """Refuse a push that cannot work, before the work of exporting is done.

    Raises:
        ZooError: The name is none of a repository, or there is no token.
    """
    if not _NAME.fullmatch(name) or ".." in name or "--" in name:
        raise ZooError(
            f"--push {name!r} is no name of a repository on the Hub: give ORG/NAME, of letters, "
            "digits, '-', '_' and '.'."
        )
    from huggingface_hub import get_token

    if not get_token():
        raise ZooError(
            "--push needs a token that may write to the Hub, and there is none: set HF_TOKEN, or "
            "log in once with `hf auth login`."
        )


def push(folder: Path, name: str, *, private: bool = False, update: bool = False) -> str:
    """Put a folder into a new repository on the Hub, as one commit.

    Args:
        folder: What an export wrote; its card goes with it.
        name: Of the repository, `ORG/NAME`.
        private: Whether only its owners see it.
        update: Whether the repository may be there already; files of the same names are replaced
            in it.

    Returns:
        The repository's address.

    Raises:
        RunError: The folder is no export, or has no card.
        ZooError: The Hub cannot be reached, or refuses; the folder stays as it is.
    """
    if not export_of(folder) or not (folder / CARD).is_file():
        raise RunError(f"{folder} has no model card ({CARD}), so it is not pushed. Export again.")
    check_target(name)
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    with _refusals(name, folder):
        address = api.create_repo(name, private=private, exist_ok=update)
        api.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message=f"Add the export as {export_of(folder)['format']}",
        )
    return str(address)


@contextmanager
def _refusals(name: str, folder: Path) -> Iterator[None]:
    """Errors of the Hub and of the way to it in one sentence each."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    kept = f"{folder} holds everything; push it later with the same command."
    try:
        yield
    except HfHubHTTPError as error:
        raise ZooError(f"{_why(name, error)} {kept}") from error
    except ValueError as error:  # what the client itself refuses, such as a card's header
        said = " ".join(str(error).split())
        raise ZooError(f"The Hub's client refused {name}: {said} {kept}") from error
    except OfflineModeIsEnabled as error:
        raise ZooError(
            f"HF_HUB_OFFLINE is set, so nothing was sent to the Hub. Unset it to push. {kept}"
        ) from error
    except Exception as error:
        # Which HTTP library the client stands on changes with its version.
        network = isinstance(error, (ConnectionError, TimeoutError))
        if not network and not type(error).__module__.startswith(("httpx", "requests")):
            raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ZooError(f"The Hub cannot be reached ({reason}). {kept}") from error


def _why(name: str, error: Any) -> str:
    status = error.response.status_code if error.response is not None else None
    if status == 401:
        return "The Hub does not know the token (HF_TOKEN, or of `hf auth login`)."
    if status == 403:
        return (
            f"The token may not write to {name}: take one with the right to write, and a name "
            f"under an account or organisation of yours ({name.split('/')[0]} is in the name)."
        )
    if status == 409:
        return (
            f"There is a repository {name} on the Hub already. Give another name, or --update to "
            "add a commit to it."
        )
    said = getattr(error, "server_message", None) or str(error).strip().split("\n")[0]
    return f"The Hub refused {name}: {said}" + ("" if str(said).endswith(".") else ".")


__all__ = ["check_target", "push"]
