// Which layout of activations each weight format wants, how it is made, and which
// kernel takes it.

LLO_TARGET static int k_packing(int wtype, int prefill) {
  if (prefill && narrow_takes(wtype)) return LLO_NARROW;
  switch (wtype) {
    case LLO_F32:
    case LLO_F16: return prefill ? LLO_TILES : LLO_NATURAL;
    case LLO_BF16: return prefill ? LLO_TILES : LLO_SPLIT;
  }
  if (wtype > LLO_BF16 && wtype < LLO_TYPES) return prefill ? LLO_TILES : LLO_BLOCKS;
  return -1;
}

static int64_t k_group(int packing) { return packing == LLO_TILES ? NT : packing == LLO_NARROW ? NARROW_GROUP : 1; }

// The format that a kernel rounds to what it multiplies, by the layout it takes.
static int k_rounds(int packing) { return packing == LLO_BLOCKS ? LLO_Q8_0 : packing == LLO_NARROW ? NARROW_ROUNDS : LLO_F32; }

LLO_TARGET static int64_t k_packed(int packing, int64_t cols) {
  switch (packing) {
    case LLO_TILES: return cols * NT * 4;
    case LLO_BLOCKS: return quads_of(cols) * QUAD_X;
    case LLO_NARROW: return narrow_packed(cols);
  }
  return padded_cols(cols) * 4;
}

LLO_TARGET static void k_pack(int packing, void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  switch (packing) {
    case LLO_NATURAL: natural(dst, x, cols); break;
    case LLO_SPLIT: split(dst, x, cols); break;
    case LLO_BLOCKS: pack_quads(dst, x, cols); break;
    case LLO_TILES: tile(dst, x, ldx, cols, rows); break;
    case LLO_NARROW: narrow_pack(dst, x, ldx, cols, rows); break;
  }
}

LLO_TARGET static void k_gemm(const llo_gemm *g, void *room) {
  if (narrow_takes(g->wtype)) narrow_gemm(g, room);
  else panel_gemm(g, room);
}

#ifdef TURNED_ROOM
_Static_assert(TURNED_ROOM <= GEMM_BYTES, "the room of a work item");
#endif

LLO_TARGET static void k_gemv(const llo_gemv *g, void *room) {
  if (g->wtype > LLO_BF16) gemv_blocks(g, room);
  else gemv_plain(g);
}
