// Shares of the teams of decode attention (attend_decode.cuh), once for all layers of a step: five loads,
// each of which waits for the one before, are one for them then.
//
// Launch: a warp for each of so many teams.
#include "attend_decode.cuh"

struct ShareParams {
  DecodeParams p; // share is not used
  DecodeShare *dst;
  int32_t blocks, pad;
};

extern "C" __global__ void __launch_bounds__(128) attend_share(const __grid_constant__ ShareParams q) {
  DecodePlace place(q.p);
  const int b = blockIdx.x * WARPS + place.warp;
  if (b >= q.blocks) return;
  DecodeShare share = {};
  share.n = q.p.ranks ? place.find_share_of(b / q.p.ranks, b % q.p.ranks) : place.find_share(b, q.blocks);
  if (share.n > 0 || q.p.ranks) {
    share.row = place.row, share.part = place.part, share.split = place.split;
    share.position = q.p.batch.positions[place.row], share.table = q.p.batch.tables[place.row];
    const int first = (place.cut.block + place.split * place.cut.each) * BLOCK;
#pragma unroll
    for (int w = 0; w < WARPS; w++) share.pages[w] = place.pages[min(first + w * TILE, place.cut.last) >> q.p.shift];
  }
  if (place.lane == 0) q.dst[b] = share;
}
