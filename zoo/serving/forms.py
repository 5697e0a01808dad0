"""Which fields the page shows for a task, with an example to try."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Field:
    """A text that the page asks for.

    Args:
        name: Its name in the JSON object.
        label: What it is called on the page.
        rows: Lines of the field; 1 is a line of text.
        required: Whether it may not be empty.
    """

    name: str
    label: str
    rows: int = 5
    required: bool = True


@dataclass(frozen=True)
class Form:
    """What the page asks for.

    Args:
        title: The task's name, for people.
        action: What the button says.
        fields: In the order of the page.
        example: A value for each field.
    """

    title: str
    action: str
    fields: tuple[Field, ...]
    example: dict[str, str] = field(default_factory=dict)


_NER = Form(
    "Named entity recognition",
    "Find entities",
    (Field("text", "Text"),),
    {
        "text": "Ada Lovelace was born in London in 1815. She wrote programs for the Analytical "
        "Engine of Charles Babbage, who had studied at Trinity College in Cambridge."
    },
)
_QA = Form(
    "Question answering",
    "Answer",
    (Field("question", "Question", rows=1), Field("context", "Text to search", rows=8)),
    {
        "question": "Who wrote the first program?",
        "context": "The Analytical Engine was designed by Charles Babbage in 1837 and never built. "
        "Ada Lovelace wrote the first program for it, which computes Bernoulli numbers. It was "
        "printed in 1843, in her notes on a paper of Luigi Menabrea.",
    },
)
_SUMMARIZATION = Form(
    "Summarization",
    "Summarize",
    (Field("source", "Document", rows=10),),
    {
        "source": "The town council met on Tuesday to talk about the old bridge. Engineers had "
        "found cracks in two of its pillars in spring. Since then no lorries may cross it. The "
        "council decided to build a new bridge beside the old one, which will cost four million "
        "euros. Work begins in March and takes two years. Until then a ferry will carry lorries "
        "over the river. Some shopkeepers fear that fewer people will come to the market."
    },
)
_TEXT, _TEXT2 = Field("text", "Text"), Field("text2", "Second text", rows=4)


def _classification(pairs: bool | None) -> Form:
    example = {"text": "The staff were friendly and quick, and the room was spotless."}
    if pairs:
        fields: tuple[Field, ...] = (Field("text", "First text", rows=4), _TEXT2)
        example["text2"] = "The guest is happy with the hotel."
    elif pairs is None:
        label = "Second text, where the model reads pairs"
        fields = (_TEXT, Field("text2", label, rows=3, required=False))
    else:
        fields = (_TEXT,)
    return Form("Text classification", "Classify", fields, example)


def form_of(family: str, *, pairs: bool | None) -> Form | None:
    """The form of a family; None of one that is not known, which takes an object of JSON.

    Args:
        family: The task's family.
        pairs: Whether a classifier reads pairs of texts; None where it is not known.
    """
    if family == "classification":
        return _classification(pairs)
    return {"ner": _NER, "qa": _QA, "summarization": _SUMMARIZATION}.get(family)
