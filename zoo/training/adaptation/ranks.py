"""AdaLoRA's bookkeeping: which singular values are kept, step by step, and through a resume."""

from typing import Any

import torch

from zoo.training.adaptation.adapters import NAME

#: Shares of all steps: before the first rank is taken away, and after the last.
_BEFORE, _AFTER = 0.1, 0.3
#: How often ranks are taken away, as a share of all steps.
_EVERY = 0.01


class Ranks:
    """Takes singular values of little importance away in the course of a training.

    All ranks are there in the first tenth of the steps; then they become fewer, until in the last
    three tenths as many as asked for are left.

    Args:
        tuner: peft's, with AdaLoRA's layers.
    """

    def __init__(self, tuner: Any):
        self._tuner = tuner
        self._config = tuner.peft_config[NAME]
        self._known = False

    def step(self, step: int, *, total: int) -> None:
        """Judge the gradient of an optimizer step; it must still be there.

        Args:
            step: Steps that were done, this one included.
            total: Steps of the whole training.
        """
        if not self._known:
            self._config.total_step = total
            self._config.tinit = int(_BEFORE * total)
            self._config.tfinal = int(_AFTER * total)
            self._config.deltaT = max(1, int(_EVERY * total))
            self._known = True
        if total > 1:  # one step says nothing of what matters
            self._tuner.update_and_allocate(step)

    def penalty(self) -> torch.Tensor:
        """How far the singular vectors are from orthogonal, weighed as AdaLoRA's paper does."""
        terms = []
        for name, own in self._tuner.model.named_parameters():
            if f"lora_A.{NAME}" in name or f"lora_B.{NAME}" in name:
                square = own @ own.T if "lora_A" in name else own.T @ own
                eye = torch.eye(len(square), device=own.device, dtype=own.dtype)
                terms.append(torch.linalg.matrix_norm(square - eye))
        return float(self._config.orth_reg_weight) * torch.stack(terms).mean()

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on: tensors and plain data."""
        allocator = self._tuner.rankallocator
        return {
            "ipt": dict(allocator.ipt),
            "exp_avg_ipt": dict(allocator.exp_avg_ipt),
            "exp_avg_unc": dict(allocator.exp_avg_unc),
            "rank_pattern": self._config.rank_pattern or None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as if there had been no stop."""
        allocator = self._tuner.rankallocator
        # A checkpoint is read by way of memory that is the file: the numbers must be its own.
        devices = {name: own.device for name, own in self._tuner.model.named_parameters()}
        for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            values = {key: value.clone().to(devices[key]) for key, value in state[name].items()}
            setattr(allocator, name, values)
        self._config.rank_pattern = state["rank_pattern"]


__all__ = ["Ranks"]
