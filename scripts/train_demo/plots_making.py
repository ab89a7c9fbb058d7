"""Plots about doing: baking, building, treasure, noises in the night, wishes, winter."""

import words
import world
from plot import Plot

BAKING = Plot(
    topics=("baking a {treat}", "a birthday surprise", "{H} and the {treat}"),
    title="The Birthday {treat}",
    want="{H} liked to cook, and {he} wanted to make a {treat} for {F}'s birthday.",
    paragraphs=(
        "{H} [put on an apron|washed {his} hands] and looked into the cupboard. There was [plenty of|some] {need2}, but there was no {need}. \"[Oh no|Oh dear],\" said {H}. \"I cannot make a {treat} without {need}.\" [{he} looked again, but the shelf was empty.|]",
        "So {H} went to {E}. \"Do you have any {need}?\" {he} asked. \"I am sorry, I used it all [yesterday|this morning],\" said {E}. \"[Ask at the market|Maybe a neighbour has some].\" {H} [walked|ran] past {place}. There {he} met {wise}. \"I will give you some {need},\" said {thewise}, \"if you [help me carry this basket|sing me a song|tell me a good joke].\" So {H} did.",
        "[Back at home|In the kitchen], {H} [mixed|stirred] everything in a big bowl. [Some of it went on the floor, and some on {his} nose.|{he} stirred and stirred until {his} arm was tired.] Then {he} put it in the oven. Soon the whole house smelled [sweet|wonderful]. [But {H} fell asleep in {his} chair!|But then {H} went outside to look at a bird.]",
        "[Sniff, sniff. What was that?|Suddenly there was smoke.] \"The {treat}!\" cried {H}. {he} took it out just in time. One side was [a little black|flat]. {H} [was sad|sighed]. \"It is not pretty,\" {he} said. \"Maybe {F} will not like it.\"",
        "That afternoon, all the friends [met|came together] {in_place}. \"Happy birthday, {F}!\" they shouted. {H} gave {F} the {treat}. {F} [tasted it|took a big bite]. {fHe} [closed {fhis} eyes|smiled]. \"This is the best {treat} in the world,\" said {F}, \"because you made it for me.\" [They ate every crumb.|Everybody had a piece, and soon the plate was empty.]",
    ),
    morals=(
        "{H} learned that a gift made with love is always a good gift.",
        "And {H} never fell asleep next to the oven again.",
        "It was the happiest birthday that {F} had ever had.",
    ),
)


def _build(rng, slots):
    slots["build"], slots["parts"] = world.pick(rng, words.BUILDS)


BUILDING = Plot(
    topics=("building a {build}", "working together", "two friends and a {build}"),
    title="The {build}",
    want="{H} and {Fk} wanted to build a {build} {in_place}.",
    paragraphs=(
        "\"I know how to do it,\" said {H}. \"No, I know how to do it,\" said {F}. So each of them [worked alone|made one]. They [ran to and fro|looked everywhere] for {parts}. {H} did not [help {F}|ask {F}], and {F} did not [help {H}|ask {H}].",
        "[In the evening|By noon], there were two small ones, and both were [crooked|shaky]. Then [a strong wind came|the rain came down|a big dog ran by]. [Crash|Whoosh|Bump]! [In one moment, all the work was gone.|Both of them fell to pieces.] {H} looked at {F}, and {F} looked at {H}. [Nobody said a word.|They both felt like crying.]",
        "{wise} had seen it all. \"Two weak ones cannot stand in the wind,\" said {thewise}. \"But [one strong one can|four hands are better than two].\" {H} [looked at the ground|thought about it]. \"I am sorry,\" {he} said. \"[I should have asked you|Let us try again together].\" \"I am sorry too,\" said {F}.",
        "The next morning, they began again. {H} [carried|held] the {parts}, and {F} [put everything in its place|fixed everything well]. When {H} was tired, {F} [took over|told a joke]. When {F} did not know what to do, {H} had an idea. [They worked until sunset.|They sang while they worked.]",
        "At last, the {build} was ready. It was [big and strong|the finest one {in_place}]. That night, [the wind blew|the rain fell] again, but the {build} [did not move|stood firm]. [\"We did it!\" they shouted.|\"Hooray!\" said the two friends.] They sat down next to it and ate {food}.",
    ),
    morals=(
        "They learned that together they could do more than each alone.",
        "They put a sign on it. It said, \"Built by {H} and {F}.\"",
        "And if you go there today, you can still see it.",
    ),
    setup=_build,
)


def _treasure(rng, slots):
    slots["treasure"] = world.pick(rng, words.TREASURES)
    slots["map_place"] = world.pick(rng, ("in an old book", "inside a bottle", "under a loose board", "in Grandpa's coat", "behind a picture on the wall"))


TREASURE = Plot(
    topics=("a treasure map", "a treasure hunt", "{H} and the secret map"),
    title="The Secret Map",
    want="{H} [loved stories about treasure|dreamed of a great adventure].",
    paragraphs=(
        "One {weather} day, {H} found an old map {map_place}. There was a red cross on it, and the words, \"Start {spot1}.\" {H} ran to {Fk}. \"Look!\" {he} said. \"It is a treasure map! Let us find it together!\"",
        "They [went|ran] to {place} and looked {spot1}. There they found a small note. It said, \"[Well done|Good]! Now take [ten|twenty|thirty] steps and look {spot2}.\" They counted [out loud|every step]. {spot2}, there was another note: \"The treasure is {spot3}.\"",
        "[But there was a problem. A big stone was in the way.|But the last part was not easy. The ground was hard.|But a sleepy bear was lying on the path.] \"What now?\" asked {H}. \"[Let us do it together|I have an idea],\" said {F}. [They pushed and pulled|They worked and worked|They waited, as quiet as mice], and at last [the way was free|they could pass].",
        "{spot3}, they found a wooden box. {H} opened it with [shaking hands|great care]. Was it gold? Was it silver? No. In the box was {treasure}. \"Oh,\" said {H}. [{he} was a little sad at first.|For a moment, {he} did not know what to say.]",
        "Then {F} laughed. \"[What a day|This was the best day ever]!\" {fhe} said. \"[We walked, we counted, and we solved every riddle|We had a real adventure].\" {H} [began to smile|laughed too]. It was true. [They took the box home and showed it to {E}.|They carried the box home together.] \"I hid that box when I was young,\" said {E} with a wink. \"I hoped that somebody would find it one day.\"",
    ),
    morals=(
        "{H} learned that the best treasure is a friend to share it with.",
        "The next week, {H} and {F} drew a new map and hid it for somebody else to find.",
        "{H} kept the old map over {his} bed for ever.",
    ),
    setup=_treasure,
)


def _noise(rng, slots):
    slots["sound"], slots["cause"] = world.pick(rng, words.NOISES)


NOISE = Plot(
    topics=("a strange noise", "a noise in the night", "something that went {sound}"),
    title="The Noise in the Night",
    want="{H} [liked the night|slept in a small room under the roof], and {he} was not afraid of much.",
    paragraphs=(
        "But one [windy|cold|dark|quiet|stormy] night, {H} woke up. \"{sound}.\" What was that? {he} [sat up in bed|pulled the blanket over {his} head] and listened. \"{sound}.\" There it was again! [Was it a monster?|Was it a ghost?|{his} heart beat fast.]",
        "{H} went to wake {Fk}, who was staying for the night. \"{F}, do you hear that?\" {he} whispered. \"{sound}.\" {F}'s eyes grew [big|round]. \"[It sounds like a giant|Maybe it is a dragon|It must be something with long teeth],\" {fhe} said. \"[Let us go and look|We must find out],\" said {H}, [although {he} was scared|and {he} took a lantern].",
        "They went [down the stairs|along the hall], [step by step|on the tips of their toes]. They looked behind the door. Nothing. They looked under the table. [Nothing but dust.|Nothing there.] \"{sound}.\" It came from outside! {H} took {F}'s hand, counted to three, and opened the door.",
        "[The moon was bright|{H} held up the light]. And there it was. It was not a [monster|giant|ghost] at all. It was {cause}! {H} looked at {F}, and {F} looked at {H}. Then they [began to laugh|laughed and laughed]. [They laughed so loudly that {E} woke up.|\"We were afraid of that!\" said {F}.]",
        "{E} came [down|outside] in {ehis} night clothes. \"What is going on?\" {ehe} asked. They told {ehim} everything. [{E} made a pot of hot milk|{E} gave them some {food}], and they sat in the kitchen until [they were sleepy|the moon went down]. \"[Things look bigger in the dark|A noise is only a question],\" said {E}.",
    ),
    morals=(
        "After that, when {H} heard a strange noise, {he} went to look first.",
        "{H} and {F} went back to bed. \"{sound},\" it went outside, but now they only smiled.",
        "{H} learned that a light and a friend make every night less scary.",
    ),
    setup=_noise,
)


def _wish(rng, slots):
    slots["giver"], slots["thegiver"] = world.pick(rng, (
        ("a tiny star", "the star"), ("a golden fish", "the fish"), ("a small fairy", "the fairy"), ("an old lamp with a face", "the lamp"), ("a silver snail", "the snail"),
    ))
    slots["wish"], slots["bad"] = world.pick(rng, (
        ("be as tall as a house", "{he} could not fit through the door, and nobody could hear {his} friends far below"),
        ("have all the sweets in the world", "{his} tummy hurt, and the sweets filled the room up to the roof"),
        ("never have to sleep", "the nights were long and dark, and there was nobody to play with"),
        ("be able to turn things into gold", "{his} {food} turned into gold too, and {he} could not eat it"),
        ("be invisible", "nobody could see {him}, and nobody asked {him} to play"),
        ("be the only one who could talk", "it was very quiet, and nobody answered {him}"),
    ))


WISH = Plot(
    topics=("a magic wish", "a {hkind} who made a wish", "{thegiver} and the wish"),
    title="{H} Makes a Wish",
    want="{H} was never quite happy with what {he} had.",
    paragraphs=(
        "One {weather} evening, {H} found {giver} {spot1}. \"[Please help me|I am stuck],\" said {thegiver}. {H} [set it free|helped it at once]. \"Thank you,\" said {thegiver}. \"Now you may make one wish. [But think well|Choose with care].\" {H} did not think at all. \"I wish to {wish}!\" {he} said.",
        "[Puff|Whoosh|Pling]! The wish came true. At first, {H} [was very happy|danced for joy]. \"[This is wonderful|I am the luckiest {hkind} in the world],\" {he} said. But after a while, it was not so nice. {bad}.",
        "{H} went to look for {Fk}. [But nothing was the way it used to be.|But it was not the same as before.] {he} sat down {spot2} and [cried|felt very sorry]. \"I only wanted to be happy,\" {he} said. \"But I was happy before, and I did not know it.\"",
        "Then {thegiver} came back. \"Are you happy with your wish?\" asked {thegiver}. \"No,\" said {H}. \"[Please take it back|I want everything to be as it was]. I [miss my friends|miss {F}].\" {thegiver} [smiled|shone brightly]. \"[That is the wisest wish of all|Now you have learned something],\" said {thegiver}. [Puff|Whoosh|Pling]! Everything was as before.",
        "{H} ran [home|to {place}] as fast as {he} could. There was {F}! \"Where have you been?\" asked {F}. {H} hugged {fhim}. \"[It is a long story|I will tell you everything],\" {he} said. \"But first, let us [play|eat some {food}|sit in the grass and look at the sky].\"",
    ),
    morals=(
        "From that day on, {H} was glad of what {he} had.",
        "{H} learned to think before {he} makes a wish.",
        "And every night, {he} waved at the sky and said thank you to {thegiver}.",
    ),
    setup=_wish,
)

def _store(rng, slots):
    slots["food"] = world.pick(rng, ("nuts", "apples", "berries", "mushrooms", "corn", "pears", "carrots", "beans"))


WINTER = Plot(
    topics=("a cold winter", "a hungry {fkind}", "helping a neighbour in winter"),
    title="A Cold Winter",
    want="All summer, {H} worked hard. {he} picked {food} and put everything away for the winter.",
    paragraphs=(
        "{Fk} did not work at all. {fhe} [sang|danced|slept] in the sun all day. \"Why do you work so hard?\" {fhe} asked. \"Winter is coming,\" said {H}. \"[You should get ready too|You will be cold and hungry].\" {F} only laughed. \"Winter is far away,\" {fhe} said.",
        "Then the [leaves fell|days grew short], and the first snow came. [The wind howled around the houses.|The whole of {place} was white.] {H} sat by the fire with a bowl of {food}. {he} was warm and [safe|full].",
        "One night, there was a knock on the door. It was {F}. {fHe} was [thin and cold|covered with snow], and {fhe} shook from head to toe. \"[Please, {H}|I am sorry], I have nothing to eat,\" said {F}. \"[You were right|I should have listened to you].\"",
        "{H} looked at {his} [shelves|pots]. There was [just enough for one|not very much]. {he} thought for a while. Then {he} opened the door wide. \"Come in and [get warm|sit by the fire],\" {he} said. \"[We will share|There is enough if we both eat a little less].\" {F} [cried with joy|could not believe it].",
        "All winter long, they shared the {food} and told each other stories. {F} [sang songs by the fire|played music in the evening], and the long nights [went by quickly|did not seem so dark]. When spring came, {F} [was the first to start work|got up early]. \"This year, I will [help you|work with you],\" {fhe} said. And {fhe} did.",
    ),
    morals=(
        "That winter they had less to eat, but much more to laugh about.",
        "{F} learned to plan ahead, and {H} learned that a song can warm a house.",
        "And they were never cold or hungry again.",
    ),
    setup=_store,
)

PLOTS = (BAKING, BUILDING, TREASURE, NOISE, WISH, WINTER)
