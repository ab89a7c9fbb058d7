// The searches for scales of package tensor (fitaffine.go, fitsymmetric.go), with
// a group of elements in each lane: every lane does the same operations in the same
// order as the Go code does for its group, so that the bytes are the same. What Go
// skips because it cannot win (hopeless, the end of loss) is computed here and
// does not win.
//
// One candidate costs 18 operations an element in the affine search and 10 in the
// symmetric one; nothing else counts.

enum { AFFINE = 32, SYMMETRIC = 16 }; // elements of a group

// The level nearest to x, ties to even, within lo and hi; as in Go, a NaN stays.
FN vf vlevel(vf x, vf lo, vf hi) {
  vf magic = vset1(3 << 22);
  return vlower(hi, vupper(lo, vsub(vadd(x, magic), magic)));
}

// Lane g of out[i] = element i of group g of src.
FN void across(vf *out, const float *src, const int elements) {
  for (int from = 0; from < elements; from += VL) {
#pragma GCC unroll 16
    for (int g = 0; g < VL; g++) out[from + g] = vload(src + g * elements + from);
    vtranspose(out + from);
  }
}

// affine is the search of VL groups.
typedef struct {
  vf x[AFFINE], w[AFFINE], q[AFFINE]; // q: levels of the last candidate
  vf sum_w, sum_x, hi, range;
  vf least, scale, lo;    // the best so far
  vf best_inv, best_from; // whose levels are the nearest of (x - best_from)·best_inv
} affine;

// affine_search is one search for a format, as in Go.
typedef struct {
  float top, first;
  int steps;
} affine_search;

typedef struct {
  vf l, ll, lx;
} affine_sums;

FN void affine_open(affine *a, const float *src) {
  across(a->x, src, AFFINE);
  vf low = a->x[0], high = a->x[0], squares = vzero();
  for (int i = 0; i < AFFINE; i++) {
    vf x = a->x[i];
    low = vpick(vless(x, low), x, low);
    high = vpick(vless(high, x), x, high);
    squares = vadd(squares, vmul(x, x));
  }
  vf typical = vsqrt(vdiv(squares, vset1(AFFINE)));
  a->sum_w = a->sum_x = vzero();
  for (int i = 0; i < AFFINE; i++) {
    vf x = a->x[i], w = vadd(typical, vmagnitude(x));
    a->w[i] = w;
    a->sum_w = vadd(a->sum_w, w);
    a->sum_x = vadd(a->sum_x, vmul(w, x));
  }
  a->lo = vlower(vzero(), low);
  a->hi = high;
  a->range = vsub(high, a->lo);
}

// Both loops go over PAIR searches at once: a sum is a chain of additions that
// wait for each other.
FN void affine_levels(affine *a, const vf *inv, vf top, affine_sums *s) {
#pragma GCC unroll 2
  for (int n = 0; n < PAIR; n++) s[n].l = s[n].ll = s[n].lx = vzero();
#pragma GCC unroll 2
  for (int i = 0; i < AFFINE; i++)
#pragma GCC unroll 2
    for (int n = 0; n < PAIR; n++) {
      vf x = a[n].x[i], q = vlevel(vmul(inv[n], vsub(x, a[n].lo)), vzero(), top), wq = vmul(a[n].w[i], q);
      a[n].q[i] = q;
      s[n].l = vadd(s[n].l, wq);
      s[n].ll = vadd(s[n].ll, vmul(wq, q));
      s[n].lx = vadd(s[n].lx, vmul(wq, x));
    }
}

FN void affine_loss(const affine *a, const vf *d, const vf *b, vf *loss) {
#pragma GCC unroll 2
  for (int n = 0; n < PAIR; n++) loss[n] = vzero();
#pragma GCC unroll 2
  for (int i = 0; i < AFFINE; i++)
#pragma GCC unroll 2
    for (int n = 0; n < PAIR; n++) {
      vf e = vsub(vadd(vmul(d[n], a[n].q[i]), b[n]), a[n].x[i]);
      loss[n] = vadd(loss[n], vmul(a[n].w[i], vmul(e, e)));
    }
}

// The scale d and minimum b <= 0 that are best for levels with these sums.
FN vm affine_solve(const affine *a, affine_sums s, vf *d, vf *b) {
  vf det = vsub(vmul(a->sum_w, s.ll), vmul(s.l, s.l));
  vf least = vdiv(vsub(vmul(s.ll, a->sum_x), vmul(s.l, s.lx)), det);
  vm above = vless(vzero(), least);
  vf n = vsub(vmul(a->sum_w, s.lx), vmul(a->sum_x, s.l));
  *d = vdiv(vpick(above, s.lx, n), vpick(above, s.ll, det));
  *b = vpick(above, vzero(), least);
  return vless(vzero(), det);
}

FN void affine_fit(affine *a, const affine_search *search) {
  affine_sums s[PAIR];
  vf inv[PAIR], d[PAIR], b[PAIR], loss[PAIR], top = vset1(search->top);
  vm ok[PAIR];
  for (int n = 0; n < PAIR; n++) {
    inv[n] = a[n].best_inv = vdiv(top, a[n].range);
    a[n].scale = d[n] = vdiv(vset1(1), inv[n]);
    a[n].best_from = b[n] = a[n].lo;
  }
  affine_levels(a, inv, top, s);
  affine_loss(a, d, b, loss);
  for (int n = 0; n < PAIR; n++) a[n].least = loss[n];
  for (int step = 0; step < search->steps; step++) {
    float steps = (search->first + 0.1f * (float)step) + search->top;
#pragma GCC unroll 2
    for (int n = 0; n < PAIR; n++) inv[n] = vdiv(vset1(steps), vsub(a[n].hi, a[n].lo));
    affine_levels(a, inv, top, s);
#pragma GCC unroll 2
    for (int n = 0; n < PAIR; n++) ok[n] = affine_solve(&a[n], s[n], &d[n], &b[n]);
    affine_loss(a, d, b, loss);
#pragma GCC unroll 2
    for (int n = 0; n < PAIR; n++) {
      vm better = vboth(ok[n], vless(loss[n], a[n].least));
      a[n].least = vpick(better, loss[n], a[n].least);
      a[n].scale = vpick(better, d[n], a[n].scale);
      a[n].best_inv = vpick(better, inv[n], a[n].best_inv);
      a[n].best_from = vpick(better, a[n].lo, a[n].best_from);
      a[n].lo = vpick(better, b[n], a[n].lo);
    }
  }
}

// symmetric is the search of VL groups for one scale without a minimum.
typedef struct {
  vf x[SYMMETRIC], xx[SYMMETRIC], xxx[SYMMETRIC]; // x, x², x·x²
  vf peak, scale, best_inv;
} symmetric;

FN void symmetric_open(symmetric *a, const float *src) {
  across(a->x, src, SYMMETRIC);
  a->peak = vzero();
  for (int i = 0; i < SYMMETRIC; i++) {
    vf x = a->x[i];
    a->peak = vpick(vless(vmagnitude(a->peak), vmagnitude(x)), x, a->peak);
    a->xx[i] = vmul(x, x);
    a->xxx[i] = vmul(a->xx[i], x);
  }
}

FN void symmetric_sums(const symmetric *a, vf inv, const float n, vf *lx, vf *ll) {
  *lx = *ll = vzero();
#pragma GCC unroll 16
  for (int i = 0; i < SYMMETRIC; i++) {
    vf l = vlevel(vmul(inv, a->x[i]), vset1(-n), vset1(n - 1));
    *lx = vadd(*lx, vmul(a->xxx[i], l));
    *ll = vadd(*ll, vmul(vmul(a->xx[i], l), l));
  }
}

// Groups whose peak is below tiny keep no level: their scale is 0.
FN void symmetric_fit(symmetric *a, const float n) {
  vf lx, ll, zero = vzero();
  a->best_inv = vdiv(vset1(-n), a->peak);
  symmetric_sums(a, a->best_inv, n, &lx, &ll);
  a->scale = vpick(vequal(ll, zero), zero, vdiv(lx, ll));
  vf best = vmul(a->scale, lx);
  for (int step = -9; step <= 9; step++) {
    if (step == 0) continue;
    vf inv = vdiv(vset1(-(n + 0.1f * (float)step)), a->peak);
    symmetric_sums(a, inv, n, &lx, &ll);
    vm better = vboth(vless(zero, ll), vless(vmul(best, ll), vmul(lx, lx)));
    a->best_inv = vpick(better, inv, a->best_inv);
    a->scale = vpick(better, vdiv(lx, ll), a->scale);
    best = vpick(better, vmul(a->scale, lx), best);
  }
}
