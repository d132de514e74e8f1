// vector: adds two vectors on the first CUDA card. It needs no SDK: the driver's library is found when it runs, and
// compiles the kernel below for the card that there is.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT 1048576

static const char kernel[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry add(.param .u64 a, .param .u64 b)\n"
    "{ .reg .b32 %r<5>; .reg .f32 %f<3>; .reg .b64 %d<5>;\n"
    "  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"
    "  mad.lo.s32 %r4, %r1, %r2, %r3;\n"
    "  ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b];\n"
    "  cvta.to.global.u64 %d1, %d1; cvta.to.global.u64 %d2, %d2;\n"
    "  mul.wide.u32 %d3, %r4, 4;\n"
    "  add.s64 %d1, %d1, %d3; add.s64 %d2, %d2, %d3;\n"
    "  ld.global.f32 %f1, [%d1]; ld.global.f32 %f2, [%d2];\n"
    "  add.f32 %f1, %f1, %f2; st.global.f32 [%d1], %f1; ret; }\n";

static void *library;

static void check(int error, const char *what) {
  if (error) {
    fprintf(stderr, "no CUDA: %s: error %d\n", what, error);
    exit(1);
  }
}

static void *function(const char *name) {
  void *found = dlsym(library, name);
  if (!found) check(-1, name);
  return found;
}

// Each call by its name in the library, with the arguments as they are.
#define CALL(name, types, ...) check(((int (*) types)function(#name))(__VA_ARGS__), #name)

int main(void) {
  static float a[COUNT], b[COUNT];
  int device;
  void *context, *module, *add;
  uint64_t on_card_a, on_card_b;

  library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) check(-1, "libcuda.so.1");
  CALL(cuInit, (unsigned), 0);
  CALL(cuDeviceGet, (int *, int), &device, 0);
  CALL(cuCtxCreate_v2, (void **, unsigned, int), &context, 0, device);
  CALL(cuModuleLoadData, (void **, const void *), &module, kernel);
  CALL(cuModuleGetFunction, (void **, void *, const char *), &add, module, "add");
  CALL(cuMemAlloc_v2, (uint64_t *, size_t), &on_card_a, sizeof a);
  CALL(cuMemAlloc_v2, (uint64_t *, size_t), &on_card_b, sizeof b);
  for (int i = 0; i < COUNT; i++) a[i] = i, b[i] = 2 * i;
  CALL(cuMemcpyHtoD_v2, (uint64_t, const void *, size_t), on_card_a, a, sizeof a);
  CALL(cuMemcpyHtoD_v2, (uint64_t, const void *, size_t), on_card_b, b, sizeof b);
  void *arguments[] = {&on_card_a, &on_card_b};
  CALL(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **),
       add, COUNT / 256, 1, 1, 256, 1, 1, 0, NULL, arguments, NULL);
  CALL(cuMemcpyDtoH_v2, (void *, uint64_t, size_t), a, on_card_a, sizeof a);
  int right = 0;
  for (int i = 0; i < COUNT; i++) right += a[i] == 3.0f * i;
  printf("%d sums are right\n", right);
  return right != COUNT;
}
