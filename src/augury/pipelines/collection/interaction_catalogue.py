"""The words of a simulated shop: what is sold in each category, and which adjectives its styles have."""

NOUNS: dict[str, tuple[str, ...]] = {
    "camping": ("tent", "sleeping bag", "lantern", "camp stove", "hiking pole", "water filter", "hammock", "cool box"),
    "cycling": ("bicycle light", "saddle", "helmet", "tyre pump", "pannier", "chain lock", "bottle cage", "bike bell"),
    "gardening": ("spade", "watering can", "seed tray", "pruning shears", "trellis", "compost bin", "rake", "hose"),
    "kitchen": ("saucepan", "chef's knife", "chopping board", "kettle", "whisk", "colander", "frying pan", "grater"),
    "baking": ("cake tin", "rolling pin", "piping bag", "mixing bowl", "bread basket", "biscuit cutter", "oven glove"),
    "music": ("guitar string", "metronome", "music stand", "drum stick", "ukulele", "microphone", "tuner", "recorder"),
    "painting": ("easel", "brush set", "canvas", "sketch book", "watercolour box", "palette", "charcoal", "varnish"),
    "photography": ("tripod", "camera bag", "lens cloth", "flash", "photo album", "picture frame", "remote shutter"),
    "knitting": ("ball of wool", "knitting needle", "pattern book", "crochet hook", "yarn bowl", "stitch marker"),
    "woodwork": ("chisel", "hand saw", "clamp", "sandpaper", "workbench", "mallet", "spirit level", "wood glue"),
    "games": ("board game", "card deck", "puzzle", "dice set", "chess set", "domino box", "quiz book", "marble run"),
    "astronomy": ("telescope", "star chart", "moon map", "binoculars", "planet model", "night torch", "eyepiece"),
}
"""Category -> nouns, in the order of their codes."""

STYLES: tuple[tuple[str, str], ...] = (
    ("affordable", "luxurious"),
    ("beginner's", "professional"),
    ("compact", "large"),
    ("traditional", "modern"),
    ("recycled", "durable"),
    ("plain", "colourful"),
)
"""Adjectives of the two ends of each style."""

PHRASES = (
    "A {style} {noun} for {category}.",
    "{Style} {noun}, made for {category}.",
    "This {style} {noun} belongs in every {category} set.",
    "For {category}: a {style} {noun}.",
)
"""How an item is described."""

BESIDE = (" Also useful for {other}.", " People who like {other} take it, too.", " Goes well with {other}.")
"""What is added where an item leans towards another category."""
