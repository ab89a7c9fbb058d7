// What the kernels of projections that stream activations share (stream.cu, stream_pack.cu).
#pragma once
#include "project_finish.cuh"

enum { MOST_ROWS = 32, CHUNK = WARPS * PER * 16 }; // rows of a launch; k of a chunk

// Rows of activations are taken by 8; STRIPS at a time, through rings of so many slots, with at most FLIGHT stages of weights
// under way: these have more to share their way with where there are more rows.
template <int GROUPS_, int STRIPS_, int SLOTS_, int SLOTS_X_> struct StreamShape {
  enum { GROUPS = GROUPS_, STRIPS = STRIPS_, SLOTS = SLOTS_, SLOTS_X = SLOTS_X_, BYTES_X = GROUPS * CHUNK * 16, FLIGHT = GROUPS == 1 ? 5 : GROUPS == 2 ? 4 : 3 };
  enum { OTHERS_FIND = GROUPS == 1 }; // the norm's factors: others than those that multiply
};

struct StreamParams {
  ProjectParams p; // x: as fragments, of as many groups as rows need, zeros to the end of the last chunk
  int32_t chunks;  // of k, from k0 on
  int32_t end;     // of k of what SwiGLU leaves as fragments: zeros fill it up
};
