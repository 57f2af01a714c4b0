// A plain C header over libtorch: exactly the operations Graft calls, nothing more.
//
// Rules that hold for every function here:
// - No C++ exception crosses into the caller. A function that can fail returns a `CTStatus`; on anything but `CT_OK`
//   it has written nothing to its results, and `failure->message` holds a text that the caller frees with `ct_free`.
// - A `CTTensor` result is a new reference owned by the caller, released with `ct_tensor_release`. Arguments are
//   borrowed. `NULL` stands for an undefined tensor only where a comment says so.
// - Sizes and dimensions are passed as a pointer and a count; a dimension may be negative, counted from the end.
#ifndef CTORCH_H
#define CTORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensorImpl *CTTensor;
typedef struct CTGeneratorImpl *CTGenerator;

typedef enum CTStatus {
  CT_OK = 0,
  CT_TORCH = 1,          // libtorch refused: shapes, dtypes, devices …
  CT_OUT_OF_MEMORY = 2,  // may be retried with less
  CT_CALLBACK = 3,       // a backward closure of the caller threw; `failure->token` says which error
  CT_OTHER = 4
} CTStatus;

typedef struct CTFailure {
  char *message;
  uint64_t token;
} CTFailure;

typedef enum CTDType {
  CT_UINT8 = 0, CT_INT8 = 1, CT_INT16 = 2, CT_INT32 = 3, CT_INT64 = 4,
  CT_FLOAT16 = 5, CT_FLOAT32 = 6, CT_FLOAT64 = 7, CT_BOOL = 11, CT_BFLOAT16 = 15
} CTDType;

typedef enum CTDeviceKind { CT_CPU = 0, CT_CUDA = 1, CT_MPS = 2 } CTDeviceKind;

void ct_free(void *pointer);

// ---- tensors: tensor.cpp -------------------------------------------------------------------------------------------
void ct_tensor_release(CTTensor tensor);
int64_t ct_tensor_rank(CTTensor tensor);
void ct_tensor_sizes(CTTensor tensor, int64_t *sizes);
void ct_tensor_strides(CTTensor tensor, int64_t *strides);
int64_t ct_tensor_count(CTTensor tensor);
int ct_tensor_dtype(CTTensor tensor);  // a CTDType, or another number for a dtype that Graft does not name
void ct_tensor_device(CTTensor tensor, CTDeviceKind *kind, int *index);
bool ct_tensor_is_contiguous(CTTensor tensor);
bool ct_tensor_same(CTTensor left, CTTensor right);          // the same object
bool ct_tensor_shares_storage(CTTensor left, CTTensor right);
// A dense CPU tensor's first element; NULL for another device or a tensor that is not contiguous.
void *ct_tensor_data(CTTensor tensor);

CTStatus ct_from_bytes(const void *bytes, const int64_t *sizes, int rank, CTDType dtype, CTTensor *out,
                       CTFailure *failure);
// Wraps memory without copying it; `release(context)` is called once: when the last reference goes, from any thread,
// or before a failure returns.
CTStatus ct_from_memory(void *bytes, const int64_t *sizes, int rank, CTDType dtype, void (*release)(void *context),
                        void *context, CTTensor *out, CTFailure *failure);
CTStatus ct_copy_bytes(CTTensor tensor, void *bytes, size_t capacity, CTFailure *failure);  // row-major order
CTStatus ct_item(CTTensor tensor, double *out, CTFailure *failure);
CTStatus ct_item_integer(CTTensor tensor, int64_t *out, CTFailure *failure);
CTStatus ct_full(const int64_t *sizes, int rank, double value, CTDType dtype, CTDeviceKind device, int index,
                 CTTensor *out, CTFailure *failure);
CTStatus ct_arange(int64_t start, int64_t end, int64_t step, CTDType dtype, CTTensor *out, CTFailure *failure);
CTStatus ct_eye(int64_t rows, int64_t columns, CTDType dtype, CTTensor *out, CTFailure *failure);
CTStatus ct_to(CTTensor tensor, CTDType dtype, CTDeviceKind device, int index, bool copy, CTTensor *out,
               CTFailure *failure);
CTStatus ct_clone(CTTensor tensor, CTTensor *out, CTFailure *failure);
CTStatus ct_contiguous(CTTensor tensor, CTTensor *out, CTFailure *failure);
CTStatus ct_all_close(CTTensor left, CTTensor right, double relative, double absolute, bool *out, CTFailure *failure);
CTStatus ct_equal(CTTensor left, CTTensor right, bool *out, CTFailure *failure);

// ---- arithmetic: arithmetic.cpp ------------------------------------------------------------------------------------
typedef enum CTUnary {
  CT_NEG, CT_EXP, CT_LOG, CT_SQRT, CT_RSQRT, CT_ABS, CT_SIGN, CT_SIN, CT_COS, CT_ERF, CT_TANH, CT_SIGMOID, CT_RELU,
  CT_SILU, CT_GELU, CT_GELU_TANH, CT_FLOOR, CT_ROUND, CT_ISFINITE, CT_LOGICAL_NOT, CT_RECIPROCAL, CT_SQUARE,
  CT_LOG_SIGMOID, CT_SOFTPLUS
} CTUnary;
typedef enum CTBinary {
  CT_ADD, CT_SUB, CT_MUL, CT_DIV, CT_POW, CT_MINIMUM, CT_MAXIMUM, CT_EQ, CT_NE, CT_LT, CT_LE, CT_GT, CT_GE,
  CT_LOGICAL_AND, CT_LOGICAL_OR
} CTBinary;

CTStatus ct_unary(CTUnary operation, CTTensor tensor, CTTensor *out, CTFailure *failure);
CTStatus ct_binary(CTBinary operation, CTTensor left, CTTensor right, CTTensor *out, CTFailure *failure);
CTStatus ct_binary_scalar(CTBinary operation, CTTensor left, double right, CTTensor *out, CTFailure *failure);
CTStatus ct_clamp(CTTensor tensor, double minimum, double maximum, CTTensor *out, CTFailure *failure);
CTStatus ct_where(CTTensor condition, CTTensor yes, CTTensor no, CTTensor *out, CTFailure *failure);
CTStatus ct_masked_fill(CTTensor tensor, CTTensor mask, double value, CTTensor *out, CTFailure *failure);

// In place; each returns nothing new.
CTStatus ct_add_(CTTensor tensor, CTTensor other, double scale, CTFailure *failure);
CTStatus ct_mul_(CTTensor tensor, CTTensor other, CTFailure *failure);
CTStatus ct_scale_(CTTensor tensor, double factor, CTFailure *failure);
CTStatus ct_copy_(CTTensor tensor, CTTensor source, CTFailure *failure);
CTStatus ct_fill_(CTTensor tensor, double value, CTFailure *failure);
CTStatus ct_lerp_(CTTensor tensor, CTTensor end, double weight, CTFailure *failure);
// tensor = beta · tensor + alpha · left · right, for matrices
CTStatus ct_addmm_(CTTensor tensor, CTTensor left, CTTensor right, double beta, double alpha, CTFailure *failure);
CTStatus ct_index_add_(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor source, CTFailure *failure);
CTStatus ct_index_copy_(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor source, CTFailure *failure);

// ---- reductions: reductions.cpp ------------------------------------------------------------------------------------
typedef enum CTReduction { CT_SUM, CT_MEAN, CT_AMAX, CT_AMIN, CT_ALL, CT_ANY, CT_NORM, CT_LOGSUMEXP, CT_PROD }
    CTReduction;
// `count == 0` reduces over every dimension.
CTStatus ct_reduce(CTReduction reduction, CTTensor tensor, const int64_t *dimensions, int count, bool keep,
                   CTTensor *out, CTFailure *failure);
CTStatus ct_variance(CTTensor tensor, const int64_t *dimensions, int count, double correction, bool keep,
                     CTTensor *out, CTFailure *failure);
CTStatus ct_argmax(CTTensor tensor, int64_t dimension, bool keep, CTTensor *out, CTFailure *failure);
CTStatus ct_topk(CTTensor tensor, int64_t count, int64_t dimension, CTTensor *values, CTTensor *indices,
                 CTFailure *failure);
CTStatus ct_sort(CTTensor tensor, int64_t dimension, bool descending, CTTensor *values, CTTensor *indices,
                 CTFailure *failure);  // stable
CTStatus ct_cumulative_sum(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_bincount(CTTensor tensor, int64_t minimum, CTTensor *out, CTFailure *failure);

// ---- shapes and indexing: shapes.cpp -------------------------------------------------------------------------------
CTStatus ct_reshape(CTTensor tensor, const int64_t *sizes, int rank, CTTensor *out, CTFailure *failure);
CTStatus ct_permute(CTTensor tensor, const int64_t *dimensions, int rank, CTTensor *out, CTFailure *failure);
CTStatus ct_transpose(CTTensor tensor, int64_t first, int64_t second, CTTensor *out, CTFailure *failure);
CTStatus ct_expand(CTTensor tensor, const int64_t *sizes, int rank, CTTensor *out, CTFailure *failure);
CTStatus ct_squeeze(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_unsqueeze(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_select(CTTensor tensor, int64_t dimension, int64_t index, CTTensor *out, CTFailure *failure);
CTStatus ct_narrow(CTTensor tensor, int64_t dimension, int64_t start, int64_t length, CTTensor *out,
                   CTFailure *failure);
CTStatus ct_cat(const CTTensor *tensors, int count, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_stack(const CTTensor *tensors, int count, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_index_select(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor *out, CTFailure *failure);
CTStatus ct_gather(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor *out, CTFailure *failure);
CTStatus ct_scatter(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor source, CTTensor *out,
                    CTFailure *failure);
CTStatus ct_masked_select(CTTensor tensor, CTTensor mask, CTTensor *out, CTFailure *failure);
CTStatus ct_nonzero(CTTensor tensor, CTTensor *out, CTFailure *failure);
CTStatus ct_flip(CTTensor tensor, const int64_t *dimensions, int count, CTTensor *out, CTFailure *failure);
CTStatus ct_one_hot(CTTensor tensor, int64_t classes, CTTensor *out, CTFailure *failure);

// ---- linear algebra: algebra.cpp -----------------------------------------------------------------------------------
CTStatus ct_matmul(CTTensor left, CTTensor right, CTTensor *out, CTFailure *failure);
// beta · tensor + alpha · left · right, for matrices
CTStatus ct_addmm(CTTensor tensor, CTTensor left, CTTensor right, double beta, double alpha, CTTensor *out,
                  CTFailure *failure);
CTStatus ct_linear(CTTensor input, CTTensor weight, CTTensor bias /* may be NULL */, CTTensor *out,
                   CTFailure *failure);
CTStatus ct_einsum(const char *equation, const CTTensor *tensors, int count, CTTensor *out, CTFailure *failure);
CTStatus ct_svd(CTTensor tensor, CTTensor *u, CTTensor *s, CTTensor *vh, CTFailure *failure);  // reduced
CTStatus ct_qr(CTTensor tensor, CTTensor *q, CTTensor *r, CTFailure *failure);                 // reduced

// ---- neural networks: layers.cpp -----------------------------------------------------------------------------------
CTStatus ct_softmax(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_log_softmax(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_layer_norm(CTTensor tensor, int64_t width, CTTensor weight, CTTensor bias, double epsilon, CTTensor *out,
                       CTFailure *failure);  // weight and bias may be NULL
CTStatus ct_attention(CTTensor query, CTTensor key, CTTensor value, CTTensor mask /* may be NULL */, CTTensor *out,
                      CTFailure *failure);
CTStatus ct_conv2d(CTTensor input, CTTensor weight, CTTensor bias /* may be NULL */, int64_t stride, CTTensor *out,
                   CTFailure *failure);
CTStatus ct_cross_entropy(CTTensor logits, CTTensor labels, double smoothing, CTTensor *out, CTFailure *failure);
CTStatus ct_resize(CTTensor images, int64_t height, int64_t width, bool bicubic, bool antialias, CTTensor *out,
                   CTFailure *failure);
CTStatus ct_embedding(CTTensor table, CTTensor index, CTTensor *out, CTFailure *failure);
// x · sigmoid(factor · x)
CTStatus ct_quick_gelu(CTTensor tensor, double factor, CTTensor *out, CTFailure *failure);
// Backward passes for custom functions.
CTStatus ct_softmax_backward(CTTensor gradient, CTTensor output, int64_t dimension, CTTensor *out, CTFailure *failure);
CTStatus ct_gelu_backward(CTTensor gradient, CTTensor input, bool tanh, CTTensor *out, CTFailure *failure);

// ---- grouped products: grouped.cpp ---------------------------------------------------------------------------------
// output[t, j·o + a] += scales[t] · (Σ_b values[j, a, b] · input[t, π(j·i + b)] + bias[j·o + a]), in place. `output` is
// [rows, out], `input` [rows, in], `values` [groups, o, i]; π(p) = p or, to reorder, (p mod groups) · i + p div groups.
// `scales` has one number for each of the samples that the rows are made of, in order; a sample of 0 costs nothing.
CTStatus ct_grouped_add_(CTTensor output, CTTensor input, CTTensor values, bool reorder,
                         CTTensor bias /* may be NULL */, CTTensor scales /* may be NULL */, CTFailure *failure);
// From the gradient of `output`: adds to the input's in place, and gives those of the values and of the bias; each
// may be NULL where it is not wanted. The sums over tokens do not depend on the number of threads.
CTStatus ct_grouped_backward(CTTensor gradient, CTTensor input, CTTensor values, bool reorder,
                             CTTensor scales /* may be NULL */, CTTensor inputGradient /* may be NULL */,
                             CTTensor *valuesGradient, CTTensor *biasGradient, CTFailure *failure);

// ---- masked offsets: experts.cpp ------------------------------------------------------------------------------------
// Experts that each let through a part of one offset: θ = base + scale · (Σ_m α_m z_m) · δ, with the gates of their logits
// `a` [M, …], z = clamp(1.2 σ(1.5 a) − 0.1, 0, 1). Where `logits` is NULL, there is one expert and its gates are all 1. Gates
// are computed from the logits each time they are needed. No sum depends on the number of threads.

// What a step's tasks say of one tensor: the loss is the mean of theirs.
typedef struct CTExpertTasks {
  const CTTensor *gradients;  // ∂L_t/∂θ_t, one for each task
  int count;
  const double *mixing;       // α, [tasks, experts]
  const double *constraint;   // what P(z ≠ 0)'s derivative is multiplied by, [experts]; NULL: the logits do not train
  double scale;
} CTExpertTasks;

typedef struct CTExpertStep {
  double offsetRate, momentum, decay;  // of δ
  double logitRate;                    // of a, the clipping of its gradient included
  double limit;                        // a stays in −limit … limit
} CTExpertStep;

// Writes θ to `merged`. `evaluation` asks for the other gates, clamp(1.2 σ(a) − 0.1, 0, 1).
CTStatus ct_experts_merge(CTTensor merged, CTTensor base, CTTensor offset, CTTensor logits /* may be NULL */,
                          const double *mixing, int experts, double scale, bool evaluation, CTFailure *failure);
// Adds ∂L_t/∂α to `mixing` [tasks, experts] and ‖∂L/∂a‖² to `squares`; writes ∂L/∂δ and ∂L/∂a where they are wanted.
CTStatus ct_experts_backward(CTTensor offset, CTTensor logits /* may be NULL */, CTExpertTasks tasks, int experts,
                             double *mixing, double *squares, CTTensor offsetGradient /* may be NULL */,
                             CTTensor logitsGradient /* may be NULL */, CTFailure *failure);
// One step of gradient descent of a and one with momentum of δ, from the gradients of `ct_experts_backward`. What
// `ct_experts_counts` says of the new logits is added to `counts`, unless it is NULL.
CTStatus ct_experts_step_(CTTensor offset, CTTensor momentum, CTTensor logits /* may be NULL */, CTExpertTasks tasks,
                          int experts, CTExpertStep step, int64_t *counts, CTFailure *failure);
// Adds to `counts` [experts, 3] how many gates are 0, are 1, and are 0 though the other gates are not; to `open` [experts]
// the sum of P(z ≠ 0), unless it is NULL.
CTStatus ct_experts_counts(CTTensor logits, int64_t *counts, double *open, CTFailure *failure);
// Gates rounded to bits, `bits` uint8 [entries, ⌈M / 8⌉], the lowest of the first byte the first expert's, and δ where a bit is
// set, in order. Adds to `rounded` how many gates were neither 0 nor 1.
CTStatus ct_experts_pack(CTTensor offset, CTTensor logits, CTTensor *bits, CTTensor *values, int64_t *rounded,
                         CTFailure *failure);
// `ct_experts_merge` of what was packed: the same numbers bit for bit where no gate was rounded.
CTStatus ct_experts_merge_packed(CTTensor merged, CTTensor base, CTTensor bits, CTTensor values, const double *mixing,
                                 int experts, double scale, CTFailure *failure);

// ---- random numbers: random.cpp ------------------------------------------------------------------------------------
CTStatus ct_generator_new(uint64_t seed, CTGenerator *out, CTFailure *failure);
void ct_generator_release(CTGenerator generator);
CTStatus ct_generator_get_state(CTGenerator generator, CTTensor *out, CTFailure *failure);
CTStatus ct_generator_set_state(CTGenerator generator, CTTensor state, CTFailure *failure);
CTStatus ct_uniform_(CTTensor tensor, double low, double high, CTGenerator generator, CTFailure *failure);
CTStatus ct_normal_(CTTensor tensor, double mean, double deviation, CTGenerator generator, CTFailure *failure);
CTStatus ct_bernoulli_(CTTensor tensor, double probability, CTGenerator generator, CTFailure *failure);
CTStatus ct_permutation(int64_t count, CTGenerator generator, CTTensor *out, CTFailure *failure);

// ---- autograd: autograd.cpp ----------------------------------------------------------------------------------------
bool ct_requires_grad(CTTensor tensor);
bool ct_is_leaf(CTTensor tensor);
CTStatus ct_set_requires_grad(CTTensor tensor, bool value, CTFailure *failure);
CTStatus ct_gradient(CTTensor tensor, CTTensor *out /* NULL result: no gradient */, CTFailure *failure);
CTStatus ct_set_gradient(CTTensor tensor, CTTensor gradient /* may be NULL */, CTFailure *failure);
CTStatus ct_detach(CTTensor tensor, CTTensor *out, CTFailure *failure);
CTStatus ct_backward(CTTensor tensor, CTTensor gradient /* may be NULL */, bool retain, CTFailure *failure);
// Gradients of `output` with respect to `inputs`; an input it does not depend on gives NULL.
CTStatus ct_gradients(CTTensor output, CTTensor gradient /* may be NULL */, const CTTensor *inputs, int count,
                      bool retain, bool create, CTTensor *out, CTFailure *failure);
bool ct_grad_enabled(void);
void ct_set_grad_enabled(bool value);
bool ct_autocast_enabled(CTDeviceKind device);
int ct_autocast_dtype(CTDeviceKind device);
CTStatus ct_set_autocast(CTDeviceKind device, bool enabled, CTDType dtype, CTFailure *failure);
void ct_clear_autocast_cache(void);

// One node of the graph whose backward pass is the caller's. `backward` receives borrowed gradients of the outputs
// (NULL where there is none) and `needed[i]`, whether input i's gradient is asked for; it stores owned references
// (or NULL) in `results`. On failure it returns CT_CALLBACK with a token. It may be called from a thread of
// libtorch's. `release` is called exactly once, when the node is freed or its buffers are.
typedef struct CTFunction {
  const char *name;
  void *context;
  CTStatus (*backward)(void *context, const CTTensor *gradients, int gradientCount, const bool *needed,
                       CTTensor *results, int resultCount, CTFailure *failure);
  void (*release)(void *context);
} CTFunction;
// Ties `outputs` (computed by the caller without a graph) to `inputs` through `function`. Writes owned references to
// `attached`: aliases of `outputs` that carry the node, or plain aliases where no input needs a gradient.
// `function.context` is the node's whatever the result.
CTStatus ct_attach_function(CTFunction function, const CTTensor *inputs, int inputCount, const CTTensor *outputs,
                            int outputCount, CTTensor *attached, CTFailure *failure);

// ---- optimizers: optimizers.cpp ------------------------------------------------------------------------------------
// One fused Adam (or AdamW, `decoupled`) step over lists of equal length; `steps` are float32 scalars, advanced here.
CTStatus ct_adam_step(const CTTensor *parameters, const CTTensor *gradients, const CTTensor *means,
                      const CTTensor *squares, const CTTensor *steps, int count, double rate, double beta1,
                      double beta2, double epsilon, double decay, bool decoupled, CTFailure *failure);

// ---- machine: allocator.cpp, devices.cpp ---------------------------------------------------------------------------
typedef struct CTMemory {
  int64_t live;       // bytes of tensors alive on the CPU
  int64_t peak;       // largest `live` since the last reset
  int64_t held;       // bytes kept for reuse
  int64_t faults;     // minor page faults of this process
  int64_t resident;   // peak resident set size of this process, in bytes
} CTMemory;
void ct_memory(CTMemory *out);
void ct_memory_reset_peak(void);
void ct_memory_release_held(void);
void ct_set_threads(int count);
int ct_threads(void);
// The threads of the calling thread's own operations, nobody else's; what was in force goes back to ct_restore_threads.
typedef struct {
  int openmp, mkl;
} CTThreadLimit;
CTThreadLimit ct_limit_threads(int count);
void ct_restore_threads(CTThreadLimit before);
bool ct_device_available(CTDeviceKind device, int index);
CTStatus ct_synchronize(CTDeviceKind device, int index, CTFailure *failure);
const char *ct_version(void);

#ifdef __cplusplus
}
#endif
#endif
