// Which layout of activations each weight format wants, and how it is made.

static int k_packing(int wtype, int prefill) {
  switch (wtype) {
    case LLO_F32:
    case LLO_F16: return prefill ? LLO_TILES : LLO_NATURAL;
    case LLO_BF16: return prefill ? LLO_TILES : LLO_SPLIT;
  }
  if (wtype > LLO_BF16 && wtype < LLO_TYPES) return prefill ? LLO_TILES : LLO_BLOCKS;
  return -1;
}

static int64_t k_group(int packing) { return packing == LLO_TILES ? NT : 1; }

LLO_TARGET static int64_t k_packed(int packing, int64_t cols) {
  switch (packing) {
    case LLO_TILES: return cols * NT * 4;
    case LLO_BLOCKS: return quads_of(cols) * QUAD_X;
  }
  return padded_cols(cols) * 4;
}

LLO_TARGET static void k_pack(int packing, void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  switch (packing) {
    case LLO_NATURAL: natural(dst, x, cols); break;
    case LLO_SPLIT: split(dst, x, cols); break;
    case LLO_BLOCKS: pack_quads(dst, x, cols); break;
    case LLO_TILES: tile(dst, x, ldx, cols, rows); break;
  }
}
