// Numbers of four weight rows in one vector: that of block b of a quad and row r in
// lane 4b+r. For vectors of 64 bytes.

// [4b+r]: any element of lane b of row r.
FN qf of_rows(qf a, qf b, qf c, qf d) {
  a = _mm512_mask_mov_ps(a, 0x2222, b);
  return _mm512_mask_mov_ps(_mm512_mask_mov_ps(a, 0x4444, c), 0x8888, d);
}

// [4b+r]: element 8h + 2b + second of v, numbers that groups of 16 have.
FN qf of_groups(qf v, const int h, const int second) {
  const int i = 8 * h + second;
  return _mm512_permutexvar_ps(_mm512_setr_epi32(i, i, i, i, i + 2, i + 2, i + 2, i + 2, i + 4, i + 4, i + 4, i + 4, i + 6, i + 6, i + 6, i + 6), v);
}

// What a quad of four rows is multiplied with: scales and minima of the blocks, or
// of the first and the second 16 of each.
typedef struct {
  qf s, s2, m, m2;
} quad_scales;

// The minima of quad h of a unit, spread over its lanes.
FN qf minima(const int kind, const unit *u, const int h, const int second) {
  return kind & TWO ? of_groups(u->m, h, second) : u->m;
}

FN quad_scales scales_of(const int kind, const unit u[STREAMS], const int h) {
  quad_scales q;
  q.s = q.s2 = of_rows(u[0].s[h], u[1].s[h], u[2].s[h], u[3].s[h]);
  q.m = q.m2 = qf_zero();
  if (kind & BY16) q.s2 = of_rows(u[0].s2[h], u[1].s2[h], u[2].s2[h], u[3].s2[h]);
  if (kind & MINS) q.m = of_rows(minima(kind, u, h, 0), minima(kind, u + 1, h, 0), minima(kind, u + 2, h, 0), minima(kind, u + 3, h, 0));
  if (kind & MINS && kind & BY16)
    q.m2 = of_rows(minima(kind, u, h, 1), minima(kind, u + 1, h, 1), minima(kind, u + 2, h, 1), minima(kind, u + 3, h, 1));
  return q;
}
