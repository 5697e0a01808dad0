"""The space before the first word, for byte-level tokenizers and words split beforehand."""

import json
from typing import Any

from tokenizers import Tokenizer


def lead_with_space(tokenizer: Any) -> None:
    """Let a byte-level tokenizer put a space before each word; any other stays as it is."""
    # Asking from_pretrained for `add_prefix_space` is silently without effect for tokenizers that
    # have no class of their own (ModernBERT's), so the backend is changed where it still lacks it.
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    changed = False
    for name, kinds, inner in (
        ("pre_tokenizer", ("ByteLevel",), "pretokenizers"),
        # It takes the leading space off the offsets again, if it knows of one: otherwise the first
        # word of a text would seem to begin at its second letter.
        ("post_processor", ("ByteLevel", "RobertaProcessing"), "processors"),
    ):
        outer = state.get(name) or {}
        for part in outer.get(inner, [outer]):
            if part.get("type") in kinds and not part.get("add_prefix_space", False):
                part["add_prefix_space"] = changed = True
    if changed:
        backend = Tokenizer.from_str(json.dumps(state))
        tokenizer.backend_tokenizer.pre_tokenizer = backend.pre_tokenizer
        tokenizer.backend_tokenizer.post_processor = backend.post_processor
        # Some classes rebuild the backend from this when an exported folder is loaded elsewhere.
        tokenizer.add_prefix_space = True


__all__ = ["lead_with_space"]
