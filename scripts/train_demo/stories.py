"""Makes children's stories from a seed: the training text of the demo model.

python3 stories.py --seed 7 --count 3    prints three of them
"""

import argparse
import random

import plots_brave
import plots_days
import plots_friends
import plots_making
import template
import world

PLOTS = plots_friends.PLOTS + plots_brave.PLOTS + plots_making.PLOTS + plots_days.PLOTS

REQUESTS = (
    "[Tell me|Write|Please tell me|Please write] a [story|short story|little story] about {topic}[.|]",
    "Can you tell me a story about {topic}?",
    "[Tell me|Write] a [story|bedtime story] about a {hkind} [called|named] {H}.",
    "[Tell me|Write] a story about {H} and {F}.",
    "A story about {topic}:",
    "Hello, my name is {narrator}[, and this is a story about {topic}.|. I want to tell you a story about {topic}.|. Do you want to hear a story? Then listen.]",
)
OPENINGS = (
    "Once upon a time, there was a [little|small|young|kind] {hkind} [named|called] {H}. {he} lived in {home}.",
    "Once upon a time, there was a [little |]{hkind} whose name was {H}.",
    "Once upon a time, in {home}, there lived a [little|young|small] {hkind} [named|called] {H}.",
    "Once upon a time, a [little|young] {hkind} [named|called] {H} lived in {home}.",
    "There was once a {hkind} [named|called] {H}, who lived in {home}.",
    "{H} was a [little|small|young] {hkind} who lived in {home}.",
    "Long ago, in {home}, there lived a {hkind} [named|called] {H}.",
    "In {home} lived a [little|small] {hkind}. {his} name was {H}.",
)
LIKES = (
    " {he} liked {food} [and warm summer days|and long walks|more than anything].",
    " Every morning, {he} [had {food} for breakfast|looked out at {place}].",
    " {he} lived with {E}.",
    " {his} best friend was {F}, a {fkind} who loved {ffood}.",
)
ENDINGS = (
    "That evening, {H} told {E} about the day. \"[What a day|That is a good story],\" said {E}. ",
    "When the stars came out, {H} lay in bed and thought about it all. ",
    "On the way home, {H} and {F} sang a song. ",
    "The sun went down behind {place}, and the sky turned {colour}. ",
)
LAST_WORDS = (" The end.", " And that is the end of the story.", " They all lived happily ever after.")


def story(rng):
    """Returns one story; paragraphs are separated by an empty line."""
    slots = world.draw(rng)
    plot = world.pick(rng, PLOTS)
    plot.setup(rng, slots)
    slots["topic"] = world.pick(rng, plot.topics)
    parts = [_opening(rng, plot)]
    parts += plot.paragraphs
    parts.append((world.pick(rng, ENDINGS) if not plot.opening and world.coin(rng, 0.35) else "") + world.pick(rng, plot.morals)
                 + (world.pick(rng, LAST_WORDS) if world.coin(rng, 0.25) else ""))
    heading = rng.random()
    if heading < 0.25:
        parts.insert(0, world.pick(rng, REQUESTS))
    elif heading < 0.32:
        parts.insert(0, _title(plot, slots, rng))
    if world.coin(rng, 0.06):
        # So that a prompt from the middle of a tale is no surprise either.
        parts = parts[2 + int(rng.random() * 3):]
    return "\n\n".join(template.polish(template.expand(part, slots, rng)) for part in parts)


def _opening(rng, plot):
    if plot.opening:
        return plot.opening
    opening = world.pick(rng, OPENINGS)
    if world.coin(rng, 0.4):
        opening += world.pick(rng, LIKES)
    return opening + " " + plot.want


def _title(plot, slots, rng):
    words = template.expand(plot.title, slots, rng).split(" ")
    return " ".join(word if word in ("a", "and", "in", "the", "to", "with") else word[:1].upper() + word[1:] for word in words)


def corpus(seed, count):
    """Returns count stories; the same seed gives the same stories on every machine."""
    rng = random.Random(seed)
    return [story(rng) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    args = parser.parse_args()
    print("\n\n---\n\n".join(corpus(args.seed, args.count)))


if __name__ == "__main__":
    main()
