"""Fewer lines from the libraries: what is left is what a person can act on."""

import logging
import os
import sys
import warnings


def quiet() -> None:
    """Silence progress lines, tips and advertising of the libraries below; keep our own notes.

    Call it after the imports, once for a process. The notes on the data (what was held out,
    dropped or repaired) go to standard error.
    """
    import lightning.pytorch  # sets its loggers' levels when imported, so it comes first
    from lightning.fabric.utilities.warnings import PossibleUserWarning

    for name in ("pytorch", "fabric", "pytorch.utilities.rank_zero"):
        logging.getLogger(f"{lightning.__name__}.{name}").setLevel(logging.WARNING)
    for name in ("huggingface_hub", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", category=FutureWarning, module="lightning|torch|torchdata")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    for message in (
        ".*TreeSpec.*",
        ".*set_vital.*",
        "Be aware that when using `ckpt_path`",
        "Checkpoint directory .* exists and is not empty",
        # Of logits, which no task changes in place.
        "FSDP2-wrapped module .* returned a view tensor",
    ):
        warnings.filterwarnings("ignore", message=message)
    from datasets import disable_progress_bars

    disable_progress_bars()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    notes = logging.StreamHandler(sys.stderr)
    notes.setFormatter(logging.Formatter("note: %(message)s"))
    logger = logging.getLogger("zoo")
    logger.handlers = [notes]
    logger.setLevel(logging.INFO)
    logger.propagate = False
