"""Makes the tokenizers and vectors that the tests of inference/tokenize compare with.

Three tiny tokenizers in the layouts of the models we serve, each with what the reference library (Python `tokenizers`)
makes of the same texts and ids:

    llama3   byte-level BPE: regular expression split, control tokens, BOS by template
    llama2   SentencePiece-like BPE: space prepended and written as U+2581, byte fallback, BOS by template
    mistral  the same vocabulary, Metaspace pre-tokenizer and decoder

    pip install tokenizers==0.22.2
    python3 scripts/tokenizer_vectors.py inference/tokenize/testdata
"""

import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "Hello world! Why is the sky blue? Once upon a time there was a little fox who lived near the river.",
    "The fox said hello to the owl. \"Why?\" asked the owl. What? How? Nobody knew, and they laughed.",
    "int main(void) {\n    return 0;\n}\n\n1 + 2 = 3; 1234567 items at $99.99",
    "Привет мир. Hello مرحبا. 你好世界 世界 日本語 العربية niño señor",
    "A day later the rain came, and the river rose, and they were hungry again.  Two  spaces.",
]

TEXTS = [
    "", " ", "  ", "a", "Hello", "Hello world", " Hello", "Hello ", "Why?", "Why is the sky blue?", "What? How?", "?", "Hello?World", "???",
    "ñ", "世", "👋", "Hello 世界 🌍", "🎉🎊🎈", "👨‍👩‍👧‍👦", "Hello مرحبا", "𝕳𝖊𝖑𝖑𝖔", "e\u0301", "🎉" * 1000, "\ufeffHello", "Привет", "你好世界",
    "Hello 👋 World 🌍", "日本語/English/العربية", "a\x00b", "\x00", "\x00\x00 x", "a \x00 b\x01", "x\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f",
    "line\none\r\ntwo\ttab", "    indented", "it's we'll I'D", "1234567", "<|im_start|>user\nhi<|im_end|>", "<s>Hello</s>", "[INST] x [/INST]",
    "Once upon a time, " * 40, "data: {\"x\": 1}\n\n", "a\u200bb\u00a0c", "ﬁne Å Å", "▁under▁score", "<0x41>", "�",
]

CONTROL = {
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"],
    "llama2": ["<unk>", "<s>", "</s>"],
}
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                r"|\s+(?!\S)|\s+")


def bos(tokenizer, token):
    return processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B",
                                         special_tokens=[(token, tokenizer.token_to_id(token))])


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=420, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens([AddedToken(c, special=True, normalized=False) for c in CONTROL["llama3"]])
    t.add_tokens([AddedToken("[INST]", special=False, normalized=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), bos(t, "<|begin_of_text|>")])
    return t


def llama2():
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(CORPUS[:3], trainers.BpeTrainer(vocab_size=220, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    pieces = sorted(learned["vocab"], key=learned["vocab"].get)
    vocab = {p: i for i, p in enumerate(CONTROL["llama2"] + [f"<0x{b:02X}>" for b in range(256)] + pieces)}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in learned["merges"]],
                             unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.add_special_tokens([AddedToken(c, special=True, normalized=False) for c in CONTROL["llama2"]])
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = bos(t, "<s>")
    return t


def mistral():
    t = llama2()
    t.normalizer = None
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Metaspace(prepend_scheme="first"), decoders.ByteFallback()])
    return t


def vectors(t):
    """What the library makes of each text, and of random ids."""
    literal = Tokenizer.from_str(t.to_str())
    literal.encode_special_tokens = True
    draw = random.Random(7)
    out = {"library": "tokenizers 0.22.2", "encode": [], "decode": []}
    for text in TEXTS:
        ids = t.encode(text).ids
        out["encode"].append({"text": text, "ids": ids, "bare": t.encode(text, add_special_tokens=False).ids,
                              "literal": literal.encode(text).ids, "decoded": t.decode(ids)})
    whole = [i for i in range(t.get_vocab_size()) if not t.id_to_token(i).startswith("<0x")]
    for n in range(90):  # ids of real words, ids cut out of texts, and anything
        cut = out["encode"][draw.randrange(len(TEXTS))]["ids"][draw.randrange(3):][:20]
        ids = [[draw.choice(whole) for _ in range(8)], cut, [draw.randrange(t.get_vocab_size()) for _ in range(6)]][n % 3]
        out["decode"].append({"ids": ids, "text": t.decode(ids)})
    return out


def main(folder):
    for name, make in {"llama3": llama3, "llama2": llama2, "mistral": mistral}.items():
        target = pathlib.Path(folder) / name
        target.mkdir(parents=True, exist_ok=True)
        t = make()
        t.save(str(target / "tokenizer.json"), pretty=False)
        (target / "vectors.json").write_text(json.dumps(vectors(t), ensure_ascii=True, separators=(",", ":")) + "\n")
        print(name, t.get_vocab_size(), "tokens")


if __name__ == "__main__":
    main(sys.argv[1])
