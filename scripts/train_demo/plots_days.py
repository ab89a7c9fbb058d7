"""Days without a plot: any few of many small events, in any order. They keep the model from knowing only eighteen tales."""

import world
from plot import Plot

MOODS = (
    ("sad", ("it was raining and {he} could not go out", "{his} {toy} was broken", "{F} was away", "nobody had time to play", "summer was over")),
    ("happy", ("the sun was shining", "it was {his} birthday", "{F} was coming to visit", "there was {food} for breakfast", "it was the first day of spring")),
    ("cross", ("{he} had to wash {his} ears", "{F} had more {food}", "{he} had to get up early", "somebody had taken {his} {toy}")),
    ("excited", ("there was a fair that day", "{E} had promised a surprise", "it had snowed in the night", "there was a letter for {him}")),
    ("hungry", ("{he} had missed breakfast", "{he} had played all morning", "there was no {food} left")),
    ("bored", ("there was nothing to do", "all the games were old", "it was too hot to run")),
)
QUESTIONS = (
    ("Why is the sky blue", "It is the colour that the sea lends to it"), ("Where does the sun go at night", "It goes to wake up the other side of the world"),
    ("Why do leaves fall", "The trees are tired and want to sleep"), ("How do fish sleep", "With their eyes open, so that they miss nothing"),
    ("Why does the moon follow us", "It likes company, just like you"), ("Who paints the flowers", "The rain does, when nobody is looking"),
    ("How many stars are there", "One for every wish, and a few more"), ("What is behind the hill", "Another hill, and somebody who asks the same question"),
    ("Why do birds sing", "They are so full of morning that it must come out"), ("Why is snow cold", "It comes from very high up, where nobody lights a fire"),
    ("How deep is the sea", "Deep enough to keep a secret"), ("Why do we dream", "So that the night is not boring"),
)
SHAPES = ("a ship", "a big cake", "a sleeping cat", "a castle", "a fish with a hat", "a dragon", "a teapot", "a whale", "a sheep", "a giant's shoe")
EVENTS = (
    "{spot1}, {H} saw a {small}. \"Look, {F}!\" {he} said. \"It is [looking at us|carrying something|washing its face].\" They [watched it for a long time|kept very still] until it went away.",
    "\"{question}?\" asked {H}. {F} did not know. {E} did not know either. So they asked {wise}. \"{answer},\" said {thewise}. [{H} thought about it all the way home.|{H} and {F} nodded, because it sounded true.|\"I see,\" said {H}, and {he} looked up.]",
    "Then [it began to rain|big drops fell from the sky]. {H} and {F} hid {spot2}. \"[Listen to the rain|Now we are in a secret house],\" said {F}. When the rain stopped, there were puddles everywhere, and they jumped into [every one|the biggest one]. [Splash!|Splash, splash!]",
    "They lay in the grass and looked at the clouds. \"That one looks like {shape},\" said {H}. \"And that one looks like {shape2},\" said {F}. [The wind blew, and soon it was something else.|They laughed so much that their sides hurt.]",
    "\"Let us play hide and seek,\" said {F}. {H} counted to ten. \"One, two, three, four, five, six, seven, eight, nine, ten!\" {He} looked {spot2}. {He} looked {spot3}. At last, {he} found {F} {spot4}. [\"Now it is my turn to hide,\" said {H}.|\"You found me!\" said {F}.]",
    "For lunch they had {food} and {ffood}. [{F} dropped a piece, and a {small} ate it.|They ate until nothing was left.|\"Everything tastes better outside,\" said {F}.]",
    "{H} made a little boat from a leaf, and {F} made one from [a nut shell|a piece of bark]. They put them into the water and ran along beside them. [{H}'s boat won.|{F}'s boat won.|Both boats went over the edge and were gone.] \"[Again|One more time]!\" they shouted.",
    "On the way, {H} [fell and hurt {his} knee|stepped on a thorn]. {he} tried not to cry, but it hurt. {F} [blew on it|put a cool leaf on it] and told {him} a joke. [Soon it did not hurt any more.|\"It is better now,\" said {H}.]",
    "They found [shiny stones|round stones|feathers|shells] {spot3}. {H} had three, and {F} had five. \"[Take one of mine|You can have this one],\" said {F}, and so they both had four.",
    "{H} and {F} [both wanted the same stick|could not agree which way to go|both wanted to be first]. They [shouted|turned their backs] and did not talk for a while. Then {H} said, \"[I am sorry|This is silly].\" \"[I am sorry too|Yes, it is],\" said {F}, and they were friends again.",
    "{E} came along with a heavy basket. \"May we help you?\" asked {H}. They carried it together, one on each side. \"[How kind you are|What strong helpers I have],\" said {E}, and gave each of them [an apple|a biscuit|a cherry].",
    "{H} was tired and fell asleep {spot4}. In {his} dream {he} could fly. {he} flew over {place}, and everything was as small as a toy. Then {F} [tickled {his} nose|called {his} name], and {he} woke up.",
    "They sang a song. It went, \"[One for the river, two for the tree|Left foot, right foot, off we go|Sun in the morning, moon at night], [three for you and me|over the hill and home again|everything will be all right].\" [{wise} sang along.|They sang it again and again.]",
    "{H} had brought {his} {thing}. {he} {use}. \"May I try?\" asked {F}. \"Of course,\" said {H}. [{F} was very careful with it.|They took turns.]",
    "The path was muddy, and soon their feet were brown. \"What will {yourE} say?\" [asked|laughed] {F}. They washed their feet in the cold water. [\"Brr!\" said {H}.|It tickled.]",
)
OPENING = (
    "[{H} and {F} went to {place}|{H} and {F} went to {place} with {E}|{H} went to {place} with {Fk}|One [day|fine day|quiet afternoon], {H} and {F} went to {place}]. {mood2}"
    "|The [little|small|young|] {hkind} was {mood} because {because}. {his} name was {H}. {joins}"
    "|{H} was {mood} because {because}. [{he} went to look for {Fk}.|\"What shall we do today?\" {he} asked {Fk}.|{joins}]"
    "|[One [morning|fine morning], {H} woke up early|It was a [quiet|long|fine] day|One day, {H} looked out of the window]. {H} was {mood} because {because}. {joins}"
    "|Once upon a time, there was a [little|small|young|] {hkind} [named|called] {H}. One day, {he} was {mood} because {because}. {joins}"
    "|In [spring|summer|autumn|winter], {H} [often|always] went to {place} with {Fk}. {mood2}"
    "|\"[Good morning|Hello|Wake up], {H}!\" said {Fk}. \"[It is a new day|Let us go to {place}].\" {H} was {mood} because {because}."
)
MOOD2 = ("The [sun was warm|sky was {colour}|wind was strong].|They wanted to [see|find] a {small}.|They took some {food} with them.|They ran all the way.")


def _day(rng, slots):
    slots["mood"], reasons = world.pick(rng, MOODS)
    slots["because"] = world.pick(rng, reasons)
    slots["mood2"] = "[" + MOOD2 + "]"
    slots["joins"] = "{Fk} [came to play|came along|wanted to help|was there too]."
    slots["question"], slots["answer"] = world.pick(rng, QUESTIONS)
    slots["shape"], slots["shape2"] = world.sample(rng, SHAPES, 2)
    events = world.sample(rng, EVENTS, 4)
    for i in range(4):
        slots[f"event{i}"] = events[i]


DAY = Plot(
    topics=("a day {in_place}", "{H} and {F} {in_place}", "two friends", "a {hkind} who was {mood}"),
    title="A Day With {F}",
    want="",
    opening="[" + OPENING + "]",
    paragraphs=("{event0}", "{event1}", "{event2}", "{event3}"),
    morals=(
        "{H} was not {mood} any more. \"[It was a good day|I liked today],\" {he} said.",
        "In the evening, they went home. [{E} was waiting with supper.|The stars were already out.] \"[See you tomorrow|Good night],\" said {F}.",
        "\"[That was fun|Today was fun]. Let us do it again tomorrow,\" said {F}. And they did.",
        "{H} [went to bed|closed {his} eyes] and was asleep before {he} could count to three.",
    ),
    setup=_day,
)
SHORT_DAY = Plot(
    topics=DAY.topics, title="{H} and {F}", want="", opening=DAY.opening, paragraphs=("{event0}", "{event1}"), morals=DAY.morals, setup=_day)

PLOTS = (DAY, DAY, DAY, DAY, SHORT_DAY, SHORT_DAY)
