"""Draws the cast, place and things of one story, as the slots its templates use.

Slots of the hero: H (name), he, him, his, himself, hkind; of the friend: F, fhe, fhim, fhis, fkind,
Fk ("Pip the fox" or "her friend Tom"); narrator; of the grown-up: E
(may be "his mother"), ehe, ehis; places: place, in_place, spot1 … spot4; the rest is listed in draw_things(). He, fHe, eHe
and so on are the same with a capital, needed only after a closing quotation mark: elsewhere polish() sees to it.
"""

import words

_PRONOUNS = {
    "she": ("she", "her", "her", "herself"),
    "he": ("he", "him", "his", "himself"),
    "it": ("it", "it", "its", "itself"),
}


def pick(rng, items):
    return items[int(rng.random() * len(items))]


def sample(rng, items, n):
    """Returns n different items; faster than random.sample for the few we need."""
    chosen = []
    while len(chosen) < n:
        item = pick(rng, items)
        if item not in chosen:
            chosen.append(item)
    return chosen


def coin(rng, probability):
    return rng.random() < probability


def made_up_name(rng):
    """Returns a name of two syllables, so that the model learns to carry a name it has never seen."""
    syllable = lambda last: pick(rng, words.ONSETS) + pick(rng, words.NUCLEI) + (pick(rng, words.CODAS) if last else "")
    return (syllable(False) + syllable(True)).capitalize()


def _name(rng, gender, animal):
    if coin(rng, 0.2):
        return made_up_name(rng)
    if animal and coin(rng, 0.8):
        return pick(rng, words.ANIMAL_GIRLS if gender == "she" else words.ANIMAL_BOYS)
    return pick(rng, words.GIRLS if gender == "she" else words.BOYS)


def _add_pronouns(slots, prefix, gender):
    for key, value in zip(("he", "him", "his", "himself"), _PRONOUNS[gender]):
        slots[prefix + key] = value
    slots[prefix + "He"], slots[prefix + "His"] = (slots[prefix + key].capitalize() for key in ("he", "his"))


def _character(rng, animal):
    gender = pick(rng, ("she", "he"))
    if animal:
        kind, home, food = pick(rng, words.ANIMALS)
    else:
        kind, home, food = ("girl" if gender == "she" else "boy"), pick(rng, words.HOMES), pick(rng, words.CHILD_FOODS)
    return {"gender": gender, "kind": kind, "home": home, "food": food, "name": _name(rng, gender, animal)}


def draw(rng):
    """Returns the slots of a new story."""
    animal = coin(rng, 0.5)
    hero = _character(rng, animal)
    friend = _character(rng, animal or coin(rng, 0.25))
    while friend["name"] == hero["name"]:
        friend = _character(rng, animal)
    # A friend of the other gender keeps "he" and "she" clear in most stories.
    if friend["gender"] == hero["gender"] and coin(rng, 0.6):
        friend["gender"] = "he" if hero["gender"] == "she" else "she"
        friend["name"] = _name(rng, friend["gender"], animal)
        if friend["kind"] in ("girl", "boy"):
            friend["kind"] = "girl" if friend["gender"] == "she" else "boy"
    slots = {
        "H": hero["name"], "hkind": hero["kind"], "home": hero["home"], "food": hero["food"],
        "F": friend["name"], "fkind": friend["kind"], "ffood": friend["food"],
    }
    _add_pronouns(slots, "", hero["gender"])
    _add_pronouns(slots, "f", friend["gender"])
    slots["narrator"] = pick(rng, words.GIRLS + words.BOYS)
    slots["Fk"] = "{his} friend {F}" if friend["kind"] in ("girl", "boy") else "{F} the {fkind}"
    draw_place(rng, slots)
    draw_things(rng, slots)
    return slots


def draw_place(rng, slots):
    noun, preposition, spots = pick(rng, words.PLACES)
    slots["place"] = "the " + noun
    slots["in_place"] = preposition + " the " + noun
    for i, spot in enumerate(sample(rng, spots, 4), 1):
        slots[f"spot{i}"] = spot


def draw_things(rng, slots):
    """Adds E, ehe, ehis (grown-up; myE and yourE in speech), thing, athing, use (a toy), wise, thewise (an adviser), small, treat, need, need2, weather."""
    elder, gender = pick(rng, words.ELDERS)
    slots["E"] = elder
    slots["myE"], slots["yourE"] = elder.replace("{his}", "my"), elder.replace("{his}", "your")
    _add_pronouns(slots, "e", gender)
    toy, use = pick(rng, words.TOYS)
    colour = pick(rng, words.COLOURS)
    slots["toy"], slots["thing"], slots["athing"], slots["use"] = toy, f"{colour} {toy}", f"a {colour} {toy}", use
    slots["wise"], slots["thewise"] = pick(rng, words.WISE)
    slots["small"] = pick(rng, words.SMALL_ONES)
    slots["treat"] = pick(rng, words.TREATS)
    slots["need"], slots["need2"] = sample(rng, words.INGREDIENTS, 2)
    slots["weather"] = pick(rng, words.WEATHER)
    slots["colour"] = pick(rng, words.COLOURS)
