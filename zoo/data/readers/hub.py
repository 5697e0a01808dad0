"""Datasets from the Hugging Face Hub, or from a local folder laid out like one of the Hub's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DataError

if TYPE_CHECKING:
    from datasets import DatasetDict

_INSTEAD = "Or give files instead: `train`, and if there are any `validation` and `test`."


def load_hub(
    dataset: str, *, config: str | None = None, revision: str | None = None
) -> "DatasetDict":
    """Load all splits of a dataset.

    A private or gated dataset needs the environment variable `HF_TOKEN`.

    Args:
        dataset: A local folder with Parquet, JSON Lines or CSV files named by split (in the folder
            or in its `data/`), else the id of a dataset on the Hub.
        config: Which of the dataset's configurations, where it has several.
        revision: A branch, tag or commit of the Hub's repository.

    Returns:
        The splits by name.

    Raises:
        DataError: There is no such folder or dataset, the Hub cannot be reached, or the dataset
            cannot be read.
    """
    folder = Path(dataset).expanduser()
    local = folder.is_dir()
    if local:
        if revision is not None:
            raise DataError("a local folder has no revisions; leave `revision` out.", path=dataset)
    elif folder.is_file():
        raise DataError(f"this is a file, not a folder or a Hub id. {_INSTEAD}", path=dataset)
    elif dataset.startswith((".", "~")) or folder.is_absolute() or dataset.count("/") > 1:
        raise DataError(f"there is no such folder. {_INSTEAD}", path=dataset)

    import datasets

    try:
        return datasets.load_dataset(
            str(folder) if local else dataset, name=config, revision=revision
        )
    # The Hub's client, the file systems and the parsers below share no base class.
    except Exception as error:
        raise DataError(_explain(error, local, config, revision), path=dataset) from error


def dataset_name(table: Any) -> str:
    """What a message calls one split of a dataset."""
    name = getattr(getattr(table, "info", None), "dataset_name", None) or "the dataset"
    split = getattr(table, "split", None)
    return f"{name} ({split})" if split else str(name)


def _explain(error: Exception, local: bool, config: str | None, revision: str | None) -> str:
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    # Only the first line: some of these errors carry a page of advice for programmers.
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ValueError) and "onfig" in said:
        return f"choose --data.dataset_config (now {config!r}): {_full(error)}"
    if local:
        if isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
            said = f"{said} {error.__cause__}"
        return (
            "the folder cannot be read as a dataset. It should hold Parquet, JSON Lines or CSV "
            f"files named by split, such as train.jsonl or data/test.parquet. ({said})"
        )
    looked_up = "looked it up on the Hugging Face Hub"
    if revision is not None:
        looked_up += f" at revision {revision!r}"
    if isinstance(error, DatasetNotFoundError):
        return (
            f"{looked_up}, and it is not there or not open to you. Check the spelling (there is no "
            "such local folder either); if it is private or gated, accept its terms and set the "
            f"environment variable HF_TOKEN. {_INSTEAD} ({said})"
        )
    if kinds & {"ConnectionError", "TransportError", "HTTPError", "HfHubHTTPError", "TimeoutError"}:
        return (
            f"{looked_up} (there is no such local folder), and the Hub cannot be reached. Is this "
            "machine offline, or HF_HUB_OFFLINE set? What was downloaded once is found again "
            f"without a network. {_INSTEAD} ({said})"
        )
    if isinstance(error, RuntimeError) and "script" in said:
        return (
            "this dataset is a Python script, which is no longer run. Look for a copy of it in "
            f"Parquet on the Hub. {_INSTEAD}"
        )
    return f"{looked_up}, and it cannot be loaded. {_INSTEAD} ({type(error).__name__}: {said})"


def _full(error: Exception) -> str:
    return " ".join(str(error).split())
