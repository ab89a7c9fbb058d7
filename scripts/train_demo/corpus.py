"""Turns stories into token arrays, on all cores. Standard library, numpy and tokenizers only."""

import concurrent.futures
import os

import numpy as np

CHUNK = 2000  # stories of one seed; the corpus is the same however many cores make it
BOS, EOS = 1, 2


def _chunk(job):
    import stories
    from tokenizers import Tokenizer

    path, seed, count = job
    tokenizer = Tokenizer.from_file(path)
    rows = [encoding.ids + [EOS] for encoding in tokenizer.encode_batch(stories.corpus(seed, count))]
    return np.concatenate([np.asarray(row, np.uint16) for row in rows]), np.asarray([len(row) for row in rows], np.int64)


def tokens(tokenizer_path, first_seed, stories):
    """Returns every story as <s> … </s>, one after the other, as uint16, and the position where each story starts."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one process a core already
    jobs = [(str(tokenizer_path), first_seed + i, min(CHUNK, stories - i * CHUNK)) for i in range(-(-stories // CHUNK))]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        chunks = list(pool.map(_chunk, jobs))
    lengths = np.concatenate([lengths for _, lengths in chunks])
    return np.concatenate([ids for ids, _ in chunks]), np.concatenate(([0], np.cumsum(lengths)[:-1]))
