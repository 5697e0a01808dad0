"""Predictions as a sequence that a notebook shows in a family's own way."""

from collections.abc import Iterator, Sequence
from typing import Generic, Self, TypeVar, overload

T = TypeVar("T")


class Predictions(Sequence[T], Generic[T]):
    """Predictions in the order of the input; a slice of them is of the same kind."""

    def __init__(self, predictions: Sequence[T]):
        self._predictions = list(predictions)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, slice):
            return type(self)(self._predictions[index])
        return self._predictions[index]

    def __len__(self) -> int:
        return len(self._predictions)

    def __iter__(self) -> Iterator[T]:
        return iter(self._predictions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._predictions!r})"
