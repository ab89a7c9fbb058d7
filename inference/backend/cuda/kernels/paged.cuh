// What kernels over the paged cache are told: the batch, the cache of a layer, the heads.
#pragma once
#include "formats.cuh"

// Where a batch lies on the device.
struct BatchParams {
  const int32_t *positions; // by row
  const int32_t *tables;    // by row: where its sequence's page table begins in pages
  const int32_t *pages;
};

struct CacheParams {
  uint8_t *k, *v;
  int64_t rowbytes;
  int32_t type, size; // format, positions of a page
};

struct HeadsParams {
  int32_t q, kv, dim, window;
  float scale;
  int32_t pad;
};

// Of RopeStore.
struct RopeStoreParams {
  float *qkv;
  const float *cos, *sin; // [positions × half]
  BatchParams batch;
  CacheParams cache;
  HeadsParams heads;
  int32_t half, interleaved;
};

// Turns a pair of elements of a head by a position's angle.
__device__ __forceinline__ void turn(float &a, float &b, float cosine, float sine) {
  const float x = a;
  a = fmaf(x, cosine, -(b * sine)), b = fmaf(x, sine, b * cosine);
}

__device__ __forceinline__ int64_t slot(const BatchParams &b, const CacheParams &c, const HeadsParams &h, int row, int head, int position) {
  int64_t page = b.pages[b.tables[row] + position / c.size];
  return (page * h.kv + head) * c.size + position % c.size;
}
