"""Plots about other people: losing, sharing, helping, meeting, telling the truth."""

import world
from plot import Plot

LOST = Plot(
    topics=("a lost {toy}", "{H} and the lost {toy}", "a {hkind} who lost {his} {toy}"),
    title="The Lost {toy}",
    want="{H} had {athing}. {he} {use}, and {he} [loved it very much|took it everywhere|would not trade it for anything].",
    paragraphs=(
        "One [{weather}|quiet] [morning|afternoon], {H} [went to play|was playing] {in_place}. When it was time to go home, the {toy} was "
        "[gone|not there]. \"[Oh no|Oh dear]!\" [cried|said] {H}. \"Where is my {toy}?\" {He} [felt very sad|began to cry|had tears in {his} eyes].",
        "{H} looked {spot1}, but [it was not there|there was nothing but a few leaves|{he} only found an old shoe]. "
        "{he} looked {spot2}, but [it was not there either|that was empty too|{he} only found a sleepy cat]. "
        "[{he} did not know what to do.|{he} wanted to give up.|\"I will never find it,\" {he} thought.|]",
        "Then {Fk} came by. \"Why are you [so sad|crying], {H}?\" [asked {F}|{fhe} asked]. \"I lost my {thing},\" said {H}. "
        "\"[Do not worry|Do not cry],\" said {F}. \"[I will help you|Let us look together|Two pairs of eyes are better than one].\"",
        "They [looked and looked|searched everywhere|walked slowly and looked at every spot]. [At last|Then|After a while], {F} [looked|peeked] {spot3}. "
        "\"[Look|Come quickly|Here it is], {H}!\" {fhe} [called|shouted]. There was the {thing}! [The wind had blown it there.|It was a little dirty, but it was not broken.|A puppy had carried it there.|]",
        "{H} [jumped for joy|laughed and clapped|smiled the biggest smile]. \"Thank you, {F}!\" {he} said, and {he} gave {F} a [big|warm] hug. "
        "[Then they played with the {toy} together until the sun went down.|They took turns with the {toy} all afternoon.|Then they shared some {food} under a tree.]",
    ),
    morals=(
        "From that day on, {H} always put the {toy} away [in a safe place|before supper].",
        "{H} learned that [a friend's help|asking for help] makes [a hard thing|every problem] easier.",
        "{H} was happy to have the {toy} back, but even happier to have a friend like {F}.",
    ),
)

SHARING = Plot(
    topics=("sharing", "a {hkind} who did not want to share", "{H}, {F} and the {thing}"),
    title="{H} Learns to Share",
    want="{H} had {athing}, and {he} [did not like to share it|never let anyone touch it|kept it all to {himself}].",
    paragraphs=(
        "One [{weather}|fine] day, {Fk} came to {place}. \"What a [lovely|beautiful|fine] {toy}!\" said {F}. \"May I [play with it|hold it|try it] too?\" "
        "{H} [held the {toy} tight|hid the {toy} behind {his} back|shook {his} head]. \"No,\" {he} said. \"It is mine.\"",
        "{F} [looked down at the ground|felt sad] and walked away. {H} played alone. {he} {use}, but [it was not much fun|it felt dull|soon {he} was bored]. "
        "[There was nobody to laugh with.|The day felt very long.|{he} could hear the others laugh far away.]",
        "{H} [went to see|sat down next to] {E}. \"Why do I feel so [lonely|sad]?\" {he} asked. \"I have the best {toy} of all.\" "
        "[{E} smiled.|{E} thought for a moment.] \"A {toy} is [only a thing|nice to have],\" {ehe} said. \"But [joy grows when you share it|a friend is better than any toy|a game needs more than one].\"",
        "{H} thought about that. Then {he} ran to {F}, who was sitting {spot1}. \"I am sorry,\" said {H}. \"[Would you like to play with my {toy}?|You may have the first turn.|Let us play with it together.]\" "
        "{F} [smiled at once|jumped up|nodded happily]. \"Yes, please!\" {fhe} said.",
        "They [played all day|took turns|ran and laughed] {in_place}. [When they were hungry, {F} shared {fhis} {ffood} with {H}.|Soon more friends came, and everybody had a turn.|{F} even showed {H} a new game.] "
        "It was more fun than {H} had ever had alone.",
    ),
    morals=(
        "{H} learned that [sharing makes every game better|a shared toy is twice the fun|it feels good to share].",
        "After that, {H} shared [everything|the {toy} with everyone], and {he} was never lonely again.",
        "And the {thing} had never looked so bright.",
    ),
)

RESCUE = Plot(
    topics=("a {small} in trouble", "helping others", "{H} and the little {small}"),
    title="{H} and the Little {small}",
    want="{H} [was always ready to help|had a very kind heart|liked to look after small creatures].",
    paragraphs=(
        "One {weather} [morning|day], {H} was walking {in_place} when {he} heard a [tiny|small|weak] voice. \"Help! Help me!\" {H} [looked around|stopped and listened]. "
        "{spot1}, {he} saw a {small}. [It was stuck and could not move.|Its foot was caught in a string.|It had fallen down and hurt its leg.]",
        "\"[Do not be afraid|Be still, little one],\" said {H}. \"I will help you.\" {He} [pulled gently|tried to lift it|reached as far as {he} could], but [it did not work|{he} was not strong enough|{his} arm was too short]. "
        "{he} tried [again|with a stick], but [that did not work either|still nothing happened].",
        "\"I [need help|cannot do this alone],\" thought {H}. {he} ran to find {Fk}. \"Come quickly!\" {he} said. \"A {small} needs us!\" {F} [took a long rope|brought a small ladder|picked up a basket], and they [ran back|hurried] together.",
        "{H} [held one end|held on tight] while {F} [climbed down|pulled slowly|worked with great care]. \"One, two, three!\" they [said|called]. [Pop|At last]! The {small} was free. "
        "[It shook itself and looked up at them.|It was tired, but it was safe.|It jumped into {H}'s arms.]",
        "\"Thank you!\" said the {small}. \"You are [so kind|very brave].\" {H} and {F} [took it home|gave it some {food}|made it a soft bed of leaves]. [The next day, it was well again.|Soon it felt much better.|Before long it was singing with joy.]",
    ),
    morals=(
        "From then on, the {small} came to visit {H} [every day|every morning], and they were friends for ever.",
        "{H} learned that nobody is too small to help, and nobody is too big to ask.",
        "That night, {H} slept well, because {he} had done a good thing.",
    ),
)

NEW_FRIEND = Plot(
    topics=("making a new friend", "a shy {hkind}", "how {H} met {F}"),
    title="A Friend for {H}",
    want="{H} was [new in the village|very shy|often alone], and {he} wished for a friend.",
    paragraphs=(
        "Every day, {H} [sat {spot1}|stood {spot1}] and watched the others play {in_place}. {he} wanted to [join them|say hello], but [{his} voice would not come out|{his} knees began to shake|{he} did not know what to say].",
        "\"[What is wrong|Why do you look so sad], {H}?\" asked {E}. \"I have nobody to play with,\" said {H}. \"[Just say hello|A smile is a good start|Be brave for one small minute],\" said {E}. \"[The rest will follow|You may be surprised|That is how every friendship begins].\"",
        "The next [day|morning], {H} saw a {fkind} {spot2}. {fHe} was [alone too|playing alone with {athing}|trying to reach a high branch]. {H} took a deep breath. \"Hello,\" {he} said. \"My name is {H}. [May I play with you|Can I help you|Do you want to play]?\"",
        "The {fkind} [looked up and smiled|turned around]. \"Hello, {H}! I am {F},\" {fhe} said. \"[I was hoping that someone would come|I have been looking for a friend too|I am so glad that you asked].\"",
        "They [played hide and seek|built a castle of stones|told each other funny stories|looked for smooth stones] all [day|afternoon]. {F} hid {spot3}, and {H} found {fhim}. [They laughed until their sides hurt.|They shared {food} and {ffood} for lunch.|]",
    ),
    morals=(
        "{H} was not lonely any more. It had only taken one small hello.",
        "From that day on, {H} and {F} were the best of friends.",
        "{H} learned that [sometimes the other one is shy too|a friend may be only one hello away].",
    ),
)


def _broken(rng, slots):
    slots["broken"] = world.pick(rng, ("blue vase", "big window", "flower pot", "tea cup", "old clock", "white plate", "garden lamp"))


HONESTY = Plot(
    topics=("telling the truth", "the broken {broken}", "a {hkind} who made a mistake"),
    title="The Broken {broken}",
    want="{H} liked to [run|jump|play] in the house, even when {E} told {him} to be careful.",
    paragraphs=(
        "One [{weather}|quiet] day, {H} was playing with {athing}. [Crash|Smash|Bang]! The {broken} fell down and broke into [many|a hundred] pieces. {H} [stood very still|was scared]. \"[Oh no|Oh dear],\" {he} whispered. \"What will {myE} say?\"",
        "{H} [hid the pieces under the bed|put the pieces in a box|pushed the pieces behind the door]. When {E} came home, {ehe} asked, \"Where is the {broken}?\" \"[I do not know|Maybe the cat took it|The wind must have done it],\" said {H}. But {his} [tummy hurt|face turned red|heart felt heavy].",
        "[At supper|That evening], {H} could not eat {his} {food}. [In bed|Later], {he} could not [sleep|stop thinking about it]. {he} [told {F} what had happened|asked {Fk} what to do]. \"[Tell the truth|You should say what you did],\" said {F}. \"It is hard at first, but then it gets easy.\"",
        "So {H} went to {E}. \"I broke the {broken},\" {he} said [in a small voice|and began to cry]. \"And I [did not tell the truth|told a lie]. I am very sorry.\" {E} [was quiet for a moment|looked at {him}] and then [gave {him} a hug|took {his} hand]. \"[Thank you for telling me|I am glad that you told me the truth],\" {ehe} said. \"[A {broken} can be mended|I can buy another {broken}|Things can break]. [Trust is harder to mend|The truth matters more].\"",
        "Together they [glued the pieces with care|swept the floor|picked up every piece]. [The {broken} had a few lines, but it looked nice again.|It took all evening, but they sang while they worked.|] {H} felt [light|much better], as if a stone had rolled off {his} heart.",
    ),
    morals=(
        "{H} learned that it is best to tell the truth, even when it is hard.",
        "After that, {H} played with the {toy} outside, and {he} always told the truth.",
        "That night, {H} slept like a log.",
    ),
    setup=_broken,
)


def _sick(rng, slots):
    slots["gift"] = world.pick(rng, ("a bunch of wild flowers", "a pot of hot soup", "a book of funny stories", "a warm blanket", "a jar of honey", "a basket of berries"))


SICK_FRIEND = Plot(
    topics=("a sick friend", "cheering up a friend", "how {H} helped {F} get well"),
    title="{F} Is Sick",
    want="{H} and {Fk} played together every day {in_place}.",
    paragraphs=(
        "But one {weather} morning, {F} did not come. {H} waited {spot1}. {he} waited and waited. \"[Something must be wrong,|Where can {fhe} be?]\" thought {H}, and {he} [ran|walked quickly] to {F}'s home.",
        "{F} was in bed with a [red nose|bad cold|sore throat]. \"[Achoo|Atchoo]!\" said {F}. \"I cannot play today. I feel [so weak|terrible].\" {H} felt sorry for {fhim}. \"[I will make you feel better|Just you wait],\" {he} said.",
        "{H} went home and asked {E} what to do. \"When I was little, {gift} always cheered me up,\" said {E}. So {H} [went to find one|worked all morning] and [soon|at last] {he} had {gift} for {F}.",
        "On the way back, [it began to rain|the wind blew hard|{he} had to cross a muddy path], but {H} [did not stop|kept going]. {he} knocked on the door. \"This is for you,\" {he} said. {F} [sat up|smiled for the first time that day]. \"Oh, {H}! [How kind|How lovely] of you!\"",
        "{H} [told {fhim} jokes|read to {fhim}|sang a silly song] until {F} [laughed out loud|fell asleep with a smile]. {H} came again the next day, and the day after that. [On the third day|After a week], {F} was [well|strong] again, and the two friends ran out to play {spot2}.",
    ),
    morals=(
        "\"You are the best medicine,\" said {F}.",
        "{H} learned that a little kindness can make a bad day good.",
        "And when {H} caught a cold that winter, guess who came with {gift}? It was {F}, of course.",
    ),
    setup=_sick,
)

PLOTS = (LOST, SHARING, RESCUE, NEW_FRIEND, HONESTY, SICK_FRIEND)
