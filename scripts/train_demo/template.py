"""A small template language for sentences.

    [a|b|c]   one of the alternatives, each equally likely; alternatives nest
    {slot}    the slot's value, taken from the story's world

Templates are parsed once and kept, because a corpus expands each of them about a hundred thousand times.
"""

import functools
import re

_TOKEN = re.compile(r"[\[\]|]|\{\w+\}|[^\[\]|{}]+")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_SENTENCE = re.compile(r"((?:^|[.!?] |\n)\"?|\.\" \"?)([a-z])")
_SPACES = re.compile(r" {2,}")


@functools.lru_cache(maxsize=None)
def parse(template):
    """Returns the template as a sequence of str (literal), (slot,) and [alternatives]."""
    tokens = _TOKEN.findall(template)
    if "".join(tokens) != template:
        raise ValueError(f"template: stray brace in {template!r}")
    nodes, rest = _sequence(tokens, 0, top=True)
    if rest != len(tokens):
        raise ValueError(f"template: unbalanced bracket in {template!r}")
    return nodes


def _sequence(tokens, i, top=False):
    nodes = []
    while i < len(tokens):
        token = tokens[i]
        if token in "|]" and not top:
            return nodes, i
        if token in "|]":
            raise ValueError(f"template: {token!r} outside brackets")
        if token == "[":
            alternatives = []
            while tokens[i] != "]":
                branch, i = _sequence(tokens, i + 1)
                if i >= len(tokens):
                    raise ValueError("template: bracket never closed")
                alternatives.append(branch)
            nodes.append(alternatives)
        elif token[0] == "{":
            nodes.append((token[1:-1],))
        else:
            nodes.append(token)
        i += 1
    if not top:
        raise ValueError("template: bracket never closed")
    return nodes, i


def expand(template, slots, rng):
    """Expands one template; a slot's value may be a template too."""
    out = []
    _write(parse(template), slots, rng, out)
    return "".join(out)


def _write(nodes, slots, rng, out):
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif isinstance(node, tuple):
            _write(parse(slots[node[0]]), slots, rng, out)
        else:
            _write(node[int(rng.random() * len(node))], slots, rng, out)


def polish(text):
    """Sets single spaces, a/an by the next letter and a capital at each sentence's start.

    After a closing quotation mark only a full stop inside it starts a sentence: "Why?" he asked.
    """
    text = _ARTICLE.sub(r"\1n ", _SPACES.sub(" ", text.strip()))
    return _SENTENCE.sub(lambda m: m.group(1) + m.group(2).upper(), text)
