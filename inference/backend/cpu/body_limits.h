// What the machine can do, for the figures beside every measurement: reading
// memory with nothing else, and FMAs on registers with nothing else.

LLO_TARGET static float k_read(const char *p, int64_t bytes) {
  vf a = vzero(), b = vzero(), c = vzero(), d = vzero();
  for (int64_t i = 0; i + 16 * VL <= bytes; i += 16 * VL) {
    const float *f = (const float *)(p + i);
    for (int line = 0; line < 16 * VL; line += 64) __builtin_prefetch(p + i + 2048 + line);
    a = vmax(a, vload(f)), b = vmax(b, vload(f + VL)), c = vmax(c, vload(f + 2 * VL)), d = vmax(d, vload(f + 3 * VL));
  }
  return vhmax(vmax(vmax(a, b), vmax(c, d)));
}

LLO_TARGET static double k_fma(int64_t iterations) {
  vf acc[12], m = vset1(0.999f), s = vset1(0.001f);
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) acc[i] = vset1((float)i);
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) acc[i] = vfma(acc[i], m, s);
  }
  vf t = vzero();
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) t = vadd(t, acc[i]);
  volatile float keep = vsum(t);
  (void)keep;
  return (double)iterations * 12 * VL * 2;
}
