"""Plots about oneself: fear, practice, patience, warnings, getting lost, boasting."""

import words
import world
from plot import Plot


def _fear(rng, slots):
    slots["fear"], slots["help"], slots["truth"] = world.pick(rng, words.FEARS)


FEAR = Plot(
    topics=("being brave", "a {hkind} who was afraid of {fear}", "{H} and {fear}"),
    title="Brave {H}",
    want="{H} was [a happy {hkind}|kind and clever], but {he} was afraid of {fear}.",
    paragraphs=(
        "[Whenever {he} had to face {fear}, {he} hid under {his} blanket.|When the others talked about {fear}, {he} put {his} hands over {his} ears.|Just thinking about {fear} made {him} shake.] "
        "[\"I wish I were brave,\" {he} often said.|{he} did not tell anybody, because {he} felt silly.|{he} thought that {he} was the only one who was afraid.]",
        "One {weather} [evening|day], {Fk} [ran to the door|came running]. \"{H}, please help!\" {fhe} cried. \"[My little {small} is missing|My {thing} is gone|I cannot find my way home] and there is nobody else to ask!\" "
        "{H} [knew what that meant|looked outside]. {he} would have to face {fear}.",
        "{his} [heart went boom, boom, boom|knees felt like jelly|hands were cold]. {he} went to {E} first. \"I am scared,\" said {H}. \"[Everybody is scared sometimes|I get scared too],\" said {E}. \"Being brave means that you [go anyway|do it even when you are scared]. Take {help} with you.\"",
        "So {H} took {help} and [went out|set off] with {F}. [Step by step|Slowly, slowly], they went past {place}. {he} wanted to [turn back|run away], but {he} [held {F}'s hand|counted to ten|sang a little song]. "
        "And then {H} found out that {truth}.",
        "Soon they [found what {F} was looking for {spot1}|solved the problem together {spot1}]. \"You did it!\" said {F}. \"You are the bravest {hkind} I know.\" {H} [smiled|felt warm inside]. \"I was scared all the time,\" {he} said. \"[That is what makes it brave|I know, and you came anyway],\" said {F}.",
    ),
    morals=(
        "From then on, {H} was not so afraid of {fear} any more.",
        "{H} learned that being brave is being scared and doing it anyway.",
        "That night, {H} thought about {fear}, and {he} smiled.",
    ),
    setup=_fear,
)


def _skill(rng, slots):
    slots["skill"], slots["doing"], slots["stuff"], slots["fail"], slots["win"] = world.pick(rng, words.SKILLS)


PRACTICE = Plot(
    topics=("learning to {skill}", "a {hkind} who wanted to {skill}", "never giving up"),
    title="{H} Learns to {skill}",
    want="More than anything, {H} wanted to learn to {skill}.",
    paragraphs=(
        "{Fk} [could {skill} very well|was very good at it]. \"[It is easy|Just watch me],\" said {F}. {H} [tried it at once|wanted to do the same]. But {he} {fail}. [The others laughed.|Everybody looked.|] {H} [turned red|felt like crying].",
        "The next day, {H} tried again. {he} {fail}. [On Tuesday|The day after], {he} tried once more, and again {he} {fail}. \"I will never be able to {skill},\" {he} said, and {he} [sat down {spot1}|went to sit {spot1}] with {his} head in {his} hands.",
        "{wise} [was passing by|had seen it all]. \"Do you know how many times I {fail} when I was young?\" asked {thewise}. \"No,\" said {H}. \"[A hundred times|More times than I can count],\" said {thewise}. \"[Every time, I learned a little|Then one day I did not]. [Go slowly|Try one small part at a time|Take a deep breath first].\"",
        "So {H} [practised|tried] every [morning|day]. {he} practised [in the sun and in the rain|before breakfast and after supper]. [{F} came to help, and showed {him} how.|{E} came to watch, and clapped each time.|Little by little, it went better.] Each time {he} [failed|got it wrong], {he} [laughed|stood up] and tried again.",
        "Then, one {weather} [morning|day], something wonderful happened. {H} took a deep breath, [looked straight ahead|closed {his} eyes for a moment], and {win}! \"I did it!\" {he} [shouted|cried]. \"I can {skill}!\" [Everybody cheered.|{F} jumped up and down.|{E} had tears of joy.]",
    ),
    morals=(
        "{H} learned that you only fail when you stop trying.",
        "Now {H} teaches the little ones to {skill}, and {he} never laughs when they get it wrong.",
        "\"It was not easy,\" {H} said with a smile. \"But it was worth it.\"",
    ),
    setup=_skill,
)


def _warning(rng, slots):
    slots["danger"], slots["trouble"], slots["way_out"] = world.pick(rng, (
        ("go on the thin ice", "the ice went crack, and {his} foot was stuck in the cold water", "held out a long branch and pulled {him} to the shore"),
        ("climb the old wall", "a stone came loose, and {he} hung high above the ground", "brought a ladder and helped {him} down"),
        ("go into the dark cave", "{he} took three wrong turns and could not see the way out", "called {his} name until {he} could follow the voice"),
        ("eat the red berries", "{his} tummy began to hurt, and {he} had to lie down", "brought {him} clean water and sat with {him} until it was better"),
        ("play near the deep river", "{he} slipped and fell in with a splash", "threw {him} a rope and pulled with all {fhis} strength"),
        ("follow strange tracks", "{he} sank into the soft mud up to {his} knees", "laid a wide board on the mud and pulled {him} out"),
    ))


WARNING = Plot(
    topics=("a {hkind} who did not listen", "listening to a warning", "why {H} should not {danger}"),
    title="{H} Did Not Listen",
    want="{E} had told {him} many times, \"Do not {danger}.\" But {H} [was curious|did not like rules|thought that {he} knew better].",
    paragraphs=(
        "One {weather} [morning|afternoon], {H} and {Fk} were playing {in_place}. \"I want to {danger},\" said {H}. \"[But {yourE} said no|We must not do that],\" said {F}. \"[Only for a minute|Nobody will see us],\" said {H}. \"What could happen?\"",
        "[At first, it was fun.|At first, all went well.|{H} laughed and waved at {F}.] But then {trouble}. \"Help!\" cried {H}. \"[Please help me|I was wrong], {F}!\" {He} was [cold and scared|very frightened].",
        "{F} did not [run away|laugh]. \"[Stay still|Hold on]!\" {fhe} called. {fHe} [thought fast|looked around quickly]. Then {fhe} {way_out}. [It took a long time.|It was hard work.|] At last, {H} was safe. {he} [shook all over|hugged {F} for a long time].",
        "When they came home, {H} told {E} everything. {E} [wrapped {him} in a warm towel|gave {him} some {food}] and said, \"[I was not trying to spoil your fun|Now you know why I said no]. I [want you to be safe|say no because I love you].\" \"I am sorry,\" said {H}. \"[Next time I will listen|I will never do it again].\"",
    ),
    morals=(
        "And {H} kept that promise.",
        "{H} learned that a rule is often there to keep us safe.",
        "{H} also learned that {F} was a true friend.",
    ),
    setup=_warning,
)

LOST_WAY = Plot(
    topics=("a {hkind} who got lost", "finding the way home", "how {H} came home"),
    title="The Long Way Home",
    want="{H} loved to [explore|walk and look at everything], and {he} was always [looking for something new|far ahead of the others].",
    paragraphs=(
        "One {weather} day, {H} followed a [bright butterfly|little path|funny sound] away from {place}. {he} went [over a hill and across a stream|through tall grass and past a mill]. When {he} looked back, [nothing looked right|everything looked strange]. \"I am lost,\" {he} said [quietly|in a small voice].",
        "The sun was going down, and the [shadows grew long|air grew cold]. {H} [wanted to cry|was hungry and tired]. {he} called, \"Hello! Is anybody there?\" Only the wind answered. {he} [sat down|rested] under a tree and [ate the last piece of {food}|pulled {his} coat tight].",
        "Then {he} saw {wise}. \"Why are you here so late?\" asked {thewise}. \"I cannot find my way home,\" said {H}. \"[Think|Close your eyes and think],\" said {thewise}. \"What did you pass on the way?\" {H} thought. \"[A mill|A big stone], a stream and a hill,\" {he} said. \"Then we will look for them the other way round,\" said {thewise}.",
        "They walked together in the [moonlight|evening light]. First they came to the hill. Then they [heard|saw] the stream. [An owl called far away, but {H} was not afraid now.|The stars came out, one by one.|] At last, {H} saw [a small light in a window|the lights of home]. It was home! [{E} was standing at the door with a lantern.|{E} ran out to meet {him}.]",
        "\"Where have you been?\" cried {E}, and {ehe} hugged {him} tight. {H} told the whole story. [There was a hot supper for everyone, and {thewise} stayed for supper too.|{E} gave {thewise} a bowl of soup, and they sat by the fire.|When {H} turned round to say thank you, {thewise} was already gone.]",
    ),
    morals=(
        "From that day on, {H} always [told somebody where {he} was going|looked back to remember the way].",
        "{H} learned to stop and think when things go wrong.",
        "{he} fell asleep that night in {his} own warm bed, and it had never felt so soft.",
    ),
)

RACE = Plot(
    topics=("a race", "a {hkind} who ran a race", "a proud {fkind}"),
    title="The Great Race",
    want="{H} was not very fast, but {he} [never gave up|always did {his} best].",
    paragraphs=(
        "{Fk} was the fastest runner {in_place}. \"Nobody can beat me,\" {fhe} [said every day|told everyone]. One [bright|fine|warm] morning, there was a big race, and the prize was {athing}. \"I will run too,\" said {H}. {F} laughed. \"You? [You are as slow as a snail|I will be home before you start]!\"",
        "\"Ready, steady, go!\" called {E}. {F} [shot away like an arrow|was far ahead at once]. {H} ran at {his} own pace, [one step after another|not too fast and not too slow]. [The path went up the hill and down again.|It was a long way to the finish.|]",
        "Half way, {F} looked back and saw nobody. \"[I have lots of time|This is too easy],\" {fhe} said. So {fhe} [lay down {spot1} for a nap|stopped {spot1} to eat some {ffood}]. The sun was warm, and {fhe} [fell fast asleep|forgot about the race].",
        "{H} was [tired|hot], but {he} kept going. [\"One more step,\" {he} told {himself}. \"And one more.\"|{his} legs hurt, but {he} did not stop.] {he} passed {F} without a sound. When {F} [woke up|looked up], {H} was close to the finish. {F} ran as fast as {fhe} could, but it was too late. {H} had won!",
        "[Everybody cheered|The crowd clapped and shouted]. {F} [hung {fhis} head|felt ashamed]. \"I am sorry that I laughed at you,\" {fhe} said. {H} [smiled and held out {his} hand|gave {fhim} a hug]. \"[You are still the fastest|You run very well],\" {he} said. \"[Come and play with my new {toy}|Let us share the prize].\"",
    ),
    morals=(
        "{F} never boasted again.",
        "That is how everyone learned that slow and steady wins the race.",
        "After that, {H} and {F} ran together every morning, side by side.",
    ),
)


def _seed(rng, slots):
    slots["plant"] = world.pick(rng, words.SEEDS)


PATIENCE = Plot(
    topics=("planting a seed", "a {hkind} who could not wait", "a {plant}"),
    title="{H} Plants a Seed",
    want="{H} [did not like to wait|wanted everything at once|was never very patient].",
    paragraphs=(
        "One {weather} morning in spring, {E} gave {him} a [tiny|small brown] seed. \"[Plant it and take care of it|Put it in the ground and be patient],\" said {E}. \"One day it will be a beautiful {plant}.\" {H} [dug a hole|made a little hole] {spot1}, put the seed in, and gave it some water. Then {he} sat down to [watch|wait].",
        "[Nothing happened.|An hour went by, and nothing happened.] The next day, {H} looked again. [There was only brown earth.|Still nothing.] \"[It is broken|This seed is no good],\" said {H}. {he} wanted to dig it up. \"[Do not do that|Wait],\" said {Fk}. \"[It is working under the ground, where we cannot see it|A seed needs time, just like us].\"",
        "So {H} [waited|learned to wait]. {he} gave the seed water [every morning|every day]. {he} pulled out the weeds. [When the wind was cold, {he} put straw around it.|When it was hot, {he} made some shade.|{he} even sang to it.] [A week went by, and then another.|Days and days went by.]",
        "Then, one morning, {H} saw a [tiny green leaf|little green tip]. \"[Look|Come and see], {F}!\" {he} shouted. \"It is growing!\" Each day, the plant was a little taller. First it [was as tall as a finger|had two leaves], then [it reached {H}'s knee|it had ten], and by summer it was [taller than {H}|a real {plant}].",
        "\"You see?\" said {E}. \"[Good things take time|You gave it water, sun and time].\" {H} [looked up at {his} {plant}|touched a leaf gently]. \"It was worth the wait,\" {he} said. [All the neighbours came to see it.|The bees and butterflies came to see it too.|] {H} gave {F} a seed of {fhis} own to plant.",
    ),
    morals=(
        "And {F} knew just what to do: water, sun, and a lot of time.",
        "{H} learned that the best things in life take time to grow.",
        "From that day on, whenever {he} had to wait, {H} thought of the little seed.",
    ),
    setup=_seed,
)

PLOTS = (FEAR, PRACTICE, WARNING, LOST_WAY, RACE, PATIENCE)
