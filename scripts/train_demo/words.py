"""The lexicon: who, where and what a story can be about. Every entry is ours; nothing is taken from a corpus."""

GIRLS = """Lily Mia Anna Rosa Nora Ella Zoe Ruby Tess Ivy Maya Clara Lucy Emma Sara Amy Nina June Kate Hana Leila Molly
Daisy Sofia Grace Alma Freya Ada""".split()
BOYS = """Tom Ben Max Sam Leo Jack Finn Tim Omar Hugo Noah Eli Theo Oscar Kofi Milo Dan Luke Ravi Peter Felix Adam Jonas
Henry Ali Karl Joe Ned""".split()
ANIMAL_GIRLS = "Hazel Clover Dot Fern Willow Berry Snowy Maple Olive Poppy Flora Plum Penny Bella Mimi Coco Tilly".split()
ANIMAL_BOYS = "Pip Bramble Moss Rusty Otto Bruno Biscuit Tumble Thistle Acorn Toffee Barney Rufus Gus Monty Teddy Ziggy".split()
ONSETS = "b d f g h j k l m n p r s t v z br tr fl gr kl st sh th".split()
NUCLEI = "a e i o u a e i o ee".split()
CODAS = ["", "", "", "n", "l", "r", "s", "m", "x"]

# kind, its home, what it likes to eat
ANIMALS = [
    ("rabbit", "a cosy burrow", "carrots"), ("fox", "a den under the hill", "blackberries"), ("bear", "a warm cave", "honey"),
    ("mouse", "a hole in the wall", "cheese"), ("hedgehog", "a nest of dry leaves", "apples"),
    ("squirrel", "a hollow tree", "nuts"), ("duck", "a nest by the pond", "sweet corn"), ("frog", "a pond full of lilies", "flies"),
    ("kitten", "a basket by the fire", "fish"), ("puppy", "a small wooden house", "biscuits"), ("turtle", "a pool by the rocks", "lettuce"),
    ("badger", "a set of tunnels", "mushrooms"), ("mole", "a dark tunnel", "turnips"), ("otter", "a hut by the river", "fish"),
    ("deer", "a quiet valley", "clover"), ("piglet", "a red barn", "potatoes"), ("lamb", "a green field", "fresh grass"),
    ("owl", "a tall pine tree", "seeds"), ("beaver", "a house of sticks", "willow bark"), ("sparrow", "a nest in the hedge", "crumbs"),
    ("pony", "a stable with a blue door", "oats"), ("penguin", "an igloo near the sea", "fish"), ("dragon", "a cave on the mountain", "hot soup"),
    ("robot", "a workshop at the end of the road", "warm oil"),
]
HOMES = [
    "a small house by the sea", "a tall house in the town", "a cottage near the forest", "a farmhouse at the edge of the village",
    "a yellow house on the hill", "a flat above the bakery", "a house with a green door", "a little house next to the river",
    "a lighthouse on a rocky island", "a house at the end of a long road",
]
CHILD_FOODS = ["pancakes", "apple pie", "soup", "strawberries", "warm bread", "noodles", "honey cake", "porridge"]

# noun, preposition, five spots to look in or pass by
PLACES = [
    ("forest", "in", ["behind the old oak tree", "under a pile of leaves", "inside a hollow log", "beside the stream", "under the ferns"]),
    ("park", "in", ["under the bench", "behind the swings", "next to the slide", "near the fountain", "in the sandpit"]),
    ("beach", "on", ["behind the big rocks", "under the blue boat", "near the sea wall", "in the tall grass by the sand", "next to the pier"]),
    ("garden", "in", ["under the rose bush", "behind the watering can", "next to the shed", "among the cabbages", "under the apple tree"]),
    ("farm", "on", ["behind the red barn", "in the hay", "next to the well", "under the old cart", "near the hen house"]),
    ("meadow", "in", ["in the tall grass", "behind the stone wall", "under the willow tree", "near the gate", "among the wild flowers"]),
    ("market", "at", ["under the fruit stall", "behind the baker's cart", "near the old clock", "next to the flower stand", "between two baskets of fish"]),
    ("lake", "by", ["under the wooden bridge", "in the reeds", "behind the little boat", "next to the flat stone", "on the muddy path"]),
    ("orchard", "in", ["under the pear tree", "behind the ladder", "in the long grass", "next to the apple baskets", "near the hedge"]),
    ("village", "in", ["behind the bakery", "near the school", "under the stone bridge", "next to the post office", "beside the pump"]),
    ("harbour", "at", ["behind the crates", "under the fishing nets", "next to the lighthouse", "inside an empty barrel", "near the old anchor"]),
    ("valley", "in", ["behind the mill", "under the fence", "near the spring", "next to the sheep pen", "among the tall stones"]),
]

COLOURS = ["red", "blue", "green", "yellow", "purple", "orange", "white", "silver"]
# toy, what its owner does with it (past tense)
TOYS = [
    ("kite", "flew it high in the wind"), ("ball", "bounced it up and down"), ("drum", "played a happy beat on it"),
    ("boat", "sailed it across the water"), ("scarf", "wore it every day"), ("lantern", "carried it on evening walks"),
    ("whistle", "blew it like a bird"), ("hat", "wore it even at breakfast"), ("toy train", "pulled it along the floor"),
    ("teddy bear", "hugged it every night"), ("paintbrush", "painted pictures with it"), ("bell", "rang it to say hello"),
    ("wagon", "pulled it up and down the path"), ("spinning top", "watched it dance"), ("umbrella", "splashed under it in the rain"),
    ("music box", "listened to its song at night"), ("marble", "kept it safe in one pocket"), ("book", "read it under a tree"),
    ("skipping rope", "jumped with it every morning"), ("flute", "played soft songs on it"),
]

ELDERS = [
    ("Grandma", "she"), ("Grandpa", "he"), ("{his} mother", "she"), ("{his} father", "he"), ("{his} big sister", "she"),
    ("{his} big brother", "he"), ("old Mrs. Finch", "she"), ("old Mr. Bell", "he"), ("{his} aunt", "she"), ("{his} uncle", "he"),
]
WISE = [
    ("a wise old owl", "the owl"), ("an old turtle", "the turtle"), ("a tall grey heron", "the heron"), ("a kind old goat", "the goat"),
    ("a slow old snail", "the snail"), ("a friendly postman", "the postman"), ("an old fisherman", "the fisherman"),
    ("a white goose", "the goose"), ("a sleepy badger", "the badger"),
]
SMALL_ONES = ["bird", "chick", "bee", "butterfly", "ladybird", "kitten", "baby duck", "beetle", "baby squirrel", "little bat"]
TREATS = ["cake", "apple pie", "loaf of bread", "pot of soup", "plate of biscuits", "bowl of jam", "honey cake", "cherry tart"]
INGREDIENTS = ["eggs", "flour", "honey", "butter", "milk", "apples", "sugar", "nuts"]
SKILLS = [
    ("swim", "swimming", "the water", "sank like a stone", "glided across the water"),
    ("ride a bike", "riding", "the bike", "fell into a bush", "rode all the way down the path"),
    ("whistle", "whistling", "the little tune", "only made a puff of air", "made a clear, bright sound"),
    ("skate", "skating", "the ice", "slipped and sat down hard", "slid smoothly over the ice"),
    ("juggle", "juggling", "three apples", "dropped all of them", "kept all three in the air"),
    ("climb the tall tree", "climbing", "the tall tree", "slid back down the trunk", "reached the very top branch"),
    ("play the flute", "playing", "the flute", "made a noise like an angry goose", "played a sweet, soft song"),
    ("tie a knot", "tying knots", "the rope", "ended up with a big tangle", "made a neat, strong knot"),
    ("paint", "painting", "the picture", "spilled paint everywhere", "painted a bright picture of the sea"),
    ("dance", "dancing", "the steps", "tripped over both feet", "danced all the way round the room"),
]
FEARS = [
    ("the dark", "a small light", "the dark was only the day with its eyes closed"),
    ("thunder", "a warm blanket", "thunder was only a big drum in the sky"),
    ("deep water", "a long rope", "the water was cool and kind"),
    ("high places", "a thick rope", "the view from the top was lovely"),
    ("the big dog next door", "a tasty bone", "the big dog only wanted a friend"),
    ("loud noises", "a warm hat", "loud noises could not hurt anyone"),
    ("the old bridge", "a walking stick", "the old bridge was stronger than it looked"),
    ("the attic", "a lantern", "the attic was full of old toys, not monsters"),
]
NOISES = [
    ("tap, tap, tap", "a branch that knocked on the window"), ("scratch, scratch", "a hedgehog that was looking for supper"),
    ("hoo, hoo", "a baby owl that had lost its nest"), ("drip, drip, drip", "water that fell from the roof into a tin bucket"),
    ("creak, creak", "the old gate that swung in the wind"), ("rustle, rustle", "a family of mice in the dry leaves"),
    ("bump, bump", "a puppy that wagged its tail against the door"), ("ding, ding", "a small bell on the neck of a lost goat"),
]
SEEDS = ["sunflower", "pumpkin", "bean plant", "apple tree", "rose", "tomato plant", "cherry tree", "strawberry plant"]
BUILDS = [
    ("tree house", "boards and nails"), ("little bridge", "logs and rope"), ("raft", "branches and string"), ("snow fort", "snow and ice"),
    ("sand castle", "wet sand and shells"), ("bird house", "old wood and paint"), ("wooden cart", "two planks and four wheels"), ("stone oven", "flat stones and clay"),
]
TREASURES = [
    "a box of old letters and a photograph of a smiling family", "a bag of seeds and a note that said, \"Plant us and share us\"",
    "a silver bell that rang with a clear, sweet sound", "a picnic blanket and a jar of golden honey",
    "a book of songs with a gold cover", "a tin full of shells and smooth coloured stones", "two tiny cups and a teapot with painted birds",
]
WEATHER = ["sunny", "bright", "windy", "cold", "rainy", "warm", "misty", "snowy"]
