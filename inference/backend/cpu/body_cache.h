// Where the rows of the paged cache lie.

FN int64_t type_bytes(int type) { return type == LLO_F32 ? 4 : 2; }
FN int64_t padded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Bytes of n elements of a cache row; n is a multiple of the format's block.
FN int64_t cache_bytes(int type, int64_t n) { return type == LLO_Q8_0 ? n / 32 * 34 : n * type_bytes(type); }

FN const char *kv_row(const llo_attend *a, const char *base, int64_t pos) {
  int64_t page = a->pages[pos / a->page];
  int64_t row = (page * a->kvheads + a->kvhead) * a->page + pos % a->page;
  return base + row * cache_bytes(a->kvtype, a->dim);
}
