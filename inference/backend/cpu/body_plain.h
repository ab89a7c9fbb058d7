// The narrow layout of an instruction set without a faster unit than its floats:
// there is none.
#define NARROW_GROUP 1
#define NARROW_BYTES 0
#define NARROW_ROUNDS LLO_F32
FN int narrow_takes(int wtype) { return (void)wtype, 0; }
FN int64_t narrow_packed(int64_t cols) { return (void)cols, 0; }
FN void narrow_pack(void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  (void)dst, (void)x, (void)ldx, (void)cols, (void)rows;
}
FN void narrow_gemm(const llo_gemm *g, void *room) { (void)g, (void)room; }
