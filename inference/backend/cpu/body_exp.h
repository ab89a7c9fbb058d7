// The exponential that softmax and SwiGLU share.

// e^x = 2^n e^r, n = round(x/ln 2), |r| <= ln2/2, ln 2 in two parts so that r is
// exact to the last bit; e^r by its Taylor series, whose eighth term is under
// 2^-27. At most 2 ulp; 0 below the normal range; exactly 1 at 0.
FN vf vexp(vf x) {
  vf n = vround(vmul(x, vset1(0x1.715476p+0f)));
  vf r = vfma(n, vset1(-0x1.62e400p-1f), x);
  r = vfma(n, vset1(-0x1.7f7d1cp-20f), r);
  vf p = vset1(1.0f / 5040);
  p = vfma(p, r, vset1(1.0f / 720));
  p = vfma(p, r, vset1(1.0f / 120));
  p = vfma(p, r, vset1(1.0f / 24));
  p = vfma(p, r, vset1(1.0f / 6));
  p = vfma(p, r, vset1(0.5f));
  p = vfma(p, r, vset1(1.0f));
  p = vfma(p, r, vset1(1.0f));
  return vscale2(p, n, x);
}
FN float exp1(float x) {
  float out[VL];
  vstore(out, vexp(vset1(x)));
  return out[0];
}
