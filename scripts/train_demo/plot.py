"""What a plot is. The plots themselves are in plots_*.py."""

import dataclasses
from typing import Callable


@dataclasses.dataclass(frozen=True)
class Plot:
    """One story line.

    topics: what follows "a story about ..."; title: a template; want: the sentence that ends the opening paragraph;
    paragraphs: templates from problem to resolution; morals: the last sentence, one of them; setup: draws the plot's own slots;
    opening: the whole opening paragraph, where the usual one and want do not fit.
    """

    topics: tuple
    title: str
    want: str
    paragraphs: tuple
    morals: tuple
    setup: Callable = lambda rng, slots: None
    opening: str = ""
