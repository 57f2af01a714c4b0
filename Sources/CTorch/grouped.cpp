// Products with block-diagonal matrices, added to what is already there:
//
//     y[t, j·o + a] += s[t] · (Σ_b V[j, a, b] · x[t, π(j·i + b)] + c[j·o + a])
//
// Blocks of 2×2 to 8×8 are too small for a batched product of matrices, which would also want x permuted in memory. On
// the CPU a tile of tokens is turned instead, so that each channel becomes one vector of tokens: an entry of V is then
// one multiply-add with a broadcast number, and the channels are read in whatever order π says. With 512-bit vectors,
// 1,576 tokens and 384 groups of ViT-B's maps, one core takes a fifth to a tenth of the time of batched products.
#include "clones.hpp"
#include "guard.hpp"
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <utility>

using namespace graft;

namespace {

// ---- vectors of tokens ---------------------------------------------------------------------------------------------

template <class T> constexpr int lanes = 64 / sizeof(T);

template <class T> struct VectorOf {
  typedef T Aligned __attribute__((vector_size(64)));
  typedef T Unaligned __attribute__((vector_size(64), aligned(sizeof(T))));
};
template <class T> using Vector = typename VectorOf<T>::Aligned;
/// `lanes` vectors: channels by tokens, or tokens by channels.
template <class T> using Square = Vector<T>[lanes<T>];

template <class T> GRAFT_INLINED Vector<T> load(const T *from) {
  return *reinterpret_cast<const typename VectorOf<T>::Unaligned *>(from);
}
template <class T> GRAFT_INLINED void store(T *to, Vector<T> value) {
  *reinterpret_cast<typename VectorOf<T>::Unaligned *>(to) = value;
}

/// Swaps the off-diagonal entries of each 2×2 of blocks of `step` entries, for two rows `step` apart.
template <class T, int step, int... lane>
GRAFT_INLINED void exchange(Vector<T> &upper, Vector<T> &lower, std::integer_sequence<int, lane...>) {
  const Vector<T> a = upper, b = lower;
  upper = __builtin_shufflevector(a, b, ((lane & step) == 0 ? lane : lanes<T> + lane - step)...);
  lower = __builtin_shufflevector(a, b, ((lane & step) == 0 ? lane + step : lanes<T> + lane)...);
}

template <class T, int step> GRAFT_INLINED void exchange(Square<T> &square) {
#pragma clang loop unroll(full)
  for (int row = 0; row < lanes<T>; row++)
    if ((row & step) == 0)
      exchange<T, step>(square[row], square[row + step], std::make_integer_sequence<int, lanes<T>>());
}

template <class T> GRAFT_INLINED void transpose(Square<T> &square) {
  exchange<T, 1>(square);
  exchange<T, 2>(square);
  exchange<T, 4>(square);
  if constexpr (lanes<T> > 8) exchange<T, 8>(square);
}

template <class T> GRAFT_INLINED Vector<T> sum(const Square<T> &square) {
  Vector<T> total = square[0];
#pragma clang loop unroll(full)
  for (int row = 1; row < lanes<T>; row++) total += square[row];
  return total;
}

// ---- tiles of tokens -----------------------------------------------------------------------------------------------

/// Up to `lanes` tokens, by their rows in the matrices, each with its factor.
template <class T> struct Tile {
  const int64_t *rows;
  const T *factors;
  int count;
};

/// The tokens whose factor is not zero.
template <class T> struct Tokens {
  std::vector<int64_t> rows;
  std::vector<T> factors;

  int64_t count() const { return static_cast<int64_t>(rows.size()); }
  int64_t tiles() const { return (count() + lanes<T> - 1) / lanes<T>; }
  Tile<T> tile(int64_t index) const {
    const int64_t first = index * lanes<T>;
    const auto size = std::min<int64_t>(lanes<T>, count() - first);
    return {rows.data() + first, factors.data() + first, static_cast<int>(size)};
  }
};

/// A tile of `from` `[tokens, width]` into `to` `[width, lanes]`, zeros where the tile has no token. If `scaled`, each
/// token is multiplied by its factor; the sum over the tokens is then added to `total` `[width]` where there is one.
template <class T, bool scaled>
GRAFT_INLINED void turn(const T *from, int64_t width, const Tile<T> &tile, T *to, T *total = nullptr) {
  int64_t column = 0;
  for (; column + lanes<T> <= width; column += lanes<T>) {
    Square<T> square;
#pragma clang loop unroll(full)
    for (int row = 0; row < lanes<T>; row++) {
      square[row] = row < tile.count ? load(from + tile.rows[row] * width + column) : Vector<T>{};
      if constexpr (scaled)
        if (row < tile.count) square[row] *= tile.factors[row];
    }
    if (total != nullptr) store(total + column, load(total + column) + sum<T>(square));
    transpose<T>(square);
#pragma clang loop unroll(full)
    for (int row = 0; row < lanes<T>; row++) store(to + (column + row) * lanes<T>, square[row]);
  }
  for (; column < width; column++)
    for (int row = 0; row < lanes<T>; row++) {
      T value = row < tile.count ? from[tile.rows[row] * width + column] : T(0);
      if (scaled && row < tile.count) value *= tile.factors[row];
      to[column * lanes<T> + row] = value;
      if (total != nullptr) total[column] += value;
    }
}

/// Who is connected to whom, in one direction: output `n` is `Σ_k values[n, k] · source[sources[n, k]]`.
template <class T> struct Connections {
  int64_t width;
  int64_t fan;
  std::vector<T> values;
  std::vector<int32_t> sources;
};

/// `to[token] += factor · (connections · turned + bias)` over a tile; the factor where `scaled`.
template <class T, bool scaled>
GRAFT_INLINED void addProduct(const T *turned, const Connections<T> &through, const T *bias, const Tile<T> &tile,
                              T *to) {
  const int64_t width = through.width, fan = through.fan;
  for (int64_t column = 0; column < width; column += lanes<T>) {
    const int columns = static_cast<int>(std::min<int64_t>(lanes<T>, width - column));
    Square<T> square;
#pragma clang loop unroll(full)
    for (int lane = 0; lane < lanes<T>; lane++) {
      Vector<T> total{};
      if (lane < columns) {
        const int64_t output = column + lane;
        if (bias != nullptr) total += bias[output];
        const T *values = through.values.data() + output * fan;
        const int32_t *sources = through.sources.data() + output * fan;
        for (int64_t k = 0; k < fan; k++) total += values[k] * load(turned + int64_t(sources[k]) * lanes<T>);
      }
      square[lane] = total;
    }
    transpose<T>(square);
#pragma clang loop unroll(full)
    for (int row = 0; row < lanes<T>; row++) {
      if (row >= tile.count) continue;
      if constexpr (scaled) square[row] *= tile.factors[row];
      T *at = to + tile.rows[row] * width + column;
      if (columns == lanes<T>)
        store(at, load(at) + square[row]);
      else
        for (int lane = 0; lane < columns; lane++) at[lane] += square[row][lane];
    }
  }
}

// ---- both passes ---------------------------------------------------------------------------------------------------

template <class T> struct Forward {
  Tokens<T> tokens;
  Connections<T> through;
  const T *input;
  int64_t inputWidth;
  const T *bias;
  T *output;
};

template <class T> GRAFT_INLINED void forwardTiles(const Forward<T> &work, int64_t first, int64_t last, T *turned) {
  for (int64_t index = first; index < last; index++) {
    const auto tile = work.tokens.tile(index);
    turn<T, false>(work.input, work.inputWidth, tile, turned);
    addProduct<T, true>(turned, work.through, work.bias, tile, work.output);
  }
}

template <class T> struct Backward {
  Tokens<T> tokens;
  Connections<T> forward;
  Connections<T> backward;
  const T *gradient;
  const T *input;     // where the gradient of the values is wanted
  T *inputGradient;   // where it is wanted
};

/// What one chunk of tokens needs and leaves.
template <class T> struct Chunk {
  T *turnedInput;
  T *turnedGradient;
  T *lanesOfValues;  // `[out · fan, lanes]`: the gradient of the values, each lane its own tokens'
  T *values;         // `[out · fan]`
  T *bias;           // `[out]`
};

template <class T>
GRAFT_INLINED void backwardTiles(const Backward<T> &work, int64_t first, int64_t last, const Chunk<T> &chunk) {
  const int64_t inputs = work.backward.width, outputs = work.forward.width, fan = work.forward.fan;
  const int64_t entries = outputs * fan;
  std::fill_n(chunk.bias, outputs, T(0));
  if (work.input != nullptr) std::fill_n(chunk.lanesOfValues, entries * lanes<T>, T(0));
  for (int64_t index = first; index < last; index++) {
    const auto tile = work.tokens.tile(index);
    turn<T, true>(work.gradient, outputs, tile, chunk.turnedGradient, chunk.bias);
    if (work.inputGradient != nullptr)
      addProduct<T, false>(chunk.turnedGradient, work.backward, nullptr, tile, work.inputGradient);
    if (work.input == nullptr) continue;
    turn<T, false>(work.input, inputs, tile, chunk.turnedInput);
    for (int64_t output = 0; output < outputs; output++) {
      const Vector<T> gradient = load(chunk.turnedGradient + output * lanes<T>);
      for (int64_t entry = output * fan; entry < (output + 1) * fan; entry++) {
        T *at = chunk.lanesOfValues + entry * lanes<T>;
        store(at, load(at) + gradient * load(chunk.turnedInput + int64_t(work.forward.sources[entry]) * lanes<T>));
      }
    }
  }
  if (work.input == nullptr) return;
  int64_t entry = 0;
  for (; entry + lanes<T> <= entries; entry += lanes<T>) {
    Square<T> square;
#pragma clang loop unroll(full)
    for (int row = 0; row < lanes<T>; row++) square[row] = load(chunk.lanesOfValues + (entry + row) * lanes<T>);
    transpose<T>(square);
    store(chunk.values + entry, sum<T>(square));
  }
  for (; entry < entries; entry++) {
    T total = 0;
    for (int lane = 0; lane < lanes<T>; lane++) total += chunk.lanesOfValues[entry * lanes<T> + lane];
    chunk.values[entry] = total;
  }
}

// A function with clones can be no template.
GRAFT_CLONED void run(const Forward<float> &work, int64_t first, int64_t last, float *turned) {
  forwardTiles(work, first, last, turned);
}
GRAFT_CLONED void run(const Forward<double> &work, int64_t first, int64_t last, double *turned) {
  forwardTiles(work, first, last, turned);
}
GRAFT_CLONED void run(const Backward<float> &work, int64_t first, int64_t last, const Chunk<float> &chunk) {
  backwardTiles(work, first, last, chunk);
}
GRAFT_CLONED void run(const Backward<double> &work, int64_t first, int64_t last, const Chunk<double> &chunk) {
  backwardTiles(work, first, last, chunk);
}

// ---- on tensors ----------------------------------------------------------------------------------------------------

/// The operands, checked: `values` is `[groups, outputs, inputs]` of one block.
struct Blocks {
  at::Tensor values;
  at::Tensor scales;  // `[samples]`, or undefined
  bool reorder;
  int64_t groups, outputs, inputs, rows;

  Blocks(const at::Tensor &given, bool reorder, const at::Tensor &scales, const at::Tensor &input, int64_t inputWidth,
         const at::Tensor &output)
      : values(given.contiguous()), scales(scales), reorder(reorder) {
    TORCH_CHECK(values.dim() == 3 && values.numel() > 0, "the blocks have the shape ", values.sizes(),
                " and not [groups, out, in]");
    groups = values.size(0), outputs = values.size(1), inputs = values.size(2);
    TORCH_CHECK(output.dim() == 2 && output.size(1) == groups * outputs && inputWidth == groups * inputs,
                "the blocks ", values.sizes(), " lead from ", groups * inputs, " to ", groups * outputs,
                " channels, not from ", inputWidth, " to ", output.size(-1));
    rows = output.size(0);
    TORCH_CHECK(!input.defined() || (input.dim() == 2 && input.size(0) == rows), "the input's shape ", input.sizes(),
                " does not go with ", rows, " rows");
    TORCH_CHECK(!scales.defined() ||
                    (scales.dim() == 1 && scales.size(0) > 0 && rows % scales.size(0) == 0 &&
                     scales.scalar_type() == values.scalar_type()),
                "factors of shape ", scales.sizes(), " do not divide ", rows, " rows");
  }

  int64_t channel(int64_t place) const { return reorder ? place % groups * inputs + place / groups : place; }

  /// Where a turned tile is faster: not for blocks that a batched product of matrices is made for.
  bool small(std::initializer_list<at::Tensor> others) const {
    const auto dtype = values.scalar_type();
    if (!values.is_cpu() || (dtype != at::kFloat && dtype != at::kDouble)) return false;
    for (const auto &other : others)
      if (other.defined() && (!other.is_cpu() || other.scalar_type() != dtype)) return false;
    return inputs * outputs <= largestBlock && groups * std::max(inputs, outputs) <= INT32_MAX;
  }
  static constexpr int64_t largestBlock = 1024;

  template <class T> Tokens<T> tokens() const {
    Tokens<T> tokens;
    tokens.rows.reserve(rows);
    tokens.factors.reserve(rows);
    const int64_t samples = scales.defined() ? scales.size(0) : 1;
    const auto factors = scales.defined() ? scales.contiguous() : at::Tensor();
    for (int64_t sample = 0; sample < samples; sample++) {
      const T factor = factors.defined() ? factors.const_data_ptr<T>()[sample] : T(1);
      if (factor == 0) continue;
      for (int64_t row = rows / samples * sample; row < rows / samples * (sample + 1); row++) {
        tokens.rows.push_back(row);
        tokens.factors.push_back(factor);
      }
    }
    return tokens;
  }

  /// Each output's inputs.
  template <class T> Connections<T> forward() const {
    const T *data = values.const_data_ptr<T>();
    Connections<T> through{groups * outputs, inputs, {data, data + values.numel()}, {}};
    through.sources.reserve(values.numel());
    for (int64_t group = 0; group < groups; group++)
      for (int64_t output = 0; output < outputs; output++)
        for (int64_t input = 0; input < inputs; input++)
          through.sources.push_back(static_cast<int32_t>(channel(group * inputs + input)));
    return through;
  }

  /// Each input's outputs.
  template <class T> Connections<T> backward() const {
    const T *data = values.const_data_ptr<T>();
    Connections<T> through{groups * inputs, outputs, std::vector<T>(values.numel()),
                           std::vector<int32_t>(values.numel())};
    for (int64_t group = 0; group < groups; group++)
      for (int64_t output = 0; output < outputs; output++)
        for (int64_t input = 0; input < inputs; input++) {
          const int64_t at = channel(group * inputs + input) * outputs + output;
          through.values[at] = *data++;
          through.sources[at] = static_cast<int32_t>(group * outputs + output);
        }
    return through;
  }

  // The same by libtorch's operations, `[tokens, channels]` to `[groups, tokens, channels of a block]` and back.

  at::Tensor grouped(const at::Tensor &input) const {
    auto grid = input.reshape({rows, groups, inputs});
    if (reorder) grid = grid.transpose(1, 2).reshape({rows, groups, inputs});
    return grid.transpose(0, 1);
  }

  at::Tensor ungrouped(const at::Tensor &blocks) const {
    auto flat = blocks.transpose(0, 1).reshape({rows, -1});
    return reorder ? flat.reshape({rows, inputs, groups}).transpose(1, 2).reshape({rows, -1}) : flat;
  }

  at::Tensor scaled(const at::Tensor &rowsOfOutput) const {
    if (!scales.defined()) return rowsOfOutput;
    auto bySample = rowsOfOutput.reshape({scales.size(0), rows / scales.size(0), -1});
    return bySample.mul(scales.reshape({-1, 1, 1})).reshape({rows, -1});
  }
};

template <class T> T *dataOf(const at::Tensor &tensor) { return tensor.defined() ? tensor.data_ptr<T>() : nullptr; }

template <class T>
void addGrouped(const Blocks &blocks, const at::Tensor &input, const at::Tensor &bias, const at::Tensor &output) {
  const int64_t width = input.size(1);
  const Forward<T> work{blocks.tokens<T>(), blocks.forward<T>(), input.const_data_ptr<T>(), width, dataOf<T>(bias),
                        output.data_ptr<T>()};
  at::parallel_for(0, work.tokens.tiles(), 8, [&](int64_t first, int64_t last) {
    at::Tensor turned = at::empty({width * lanes<T>}, input.options());
    run(work, first, last, turned.data_ptr<T>());
  });
}

/// Tokens are summed in chunks that depend on their number alone, so that any number of threads gives the same bits.
template <class T>
void backwardGrouped(const Blocks &blocks, const at::Tensor &gradient, const at::Tensor &input,
                     const at::Tensor &inputGradient, at::Tensor *values, at::Tensor *bias) {
  const Backward<T> work{blocks.tokens<T>(), blocks.forward<T>(), blocks.backward<T>(), gradient.const_data_ptr<T>(),
                         values != nullptr ? input.const_data_ptr<T>() : nullptr, dataOf<T>(inputGradient)};
  const int64_t tiles = work.tokens.tiles(), length = std::max<int64_t>(256 / lanes<T>, (tiles + 63) / 64);
  const int64_t chunks = (tiles + length - 1) / length;
  const int64_t entries = blocks.values.numel(), outputs = work.forward.width, inputs = work.backward.width;
  const at::Tensor valuesOfChunks = at::empty({values != nullptr ? chunks : 0, entries}, gradient.options());
  const at::Tensor biasOfChunks = at::empty({chunks, outputs}, gradient.options());
  at::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
    const int64_t size = inputs + outputs + (values != nullptr ? entries : 0);
    at::Tensor scratch = at::empty({size * lanes<T>}, gradient.options());
    T *memory = scratch.data_ptr<T>();
    for (int64_t chunk = first; chunk < last; chunk++)
      run(work, chunk * length, std::min(tiles, (chunk + 1) * length),
          {memory, memory + inputs * lanes<T>, memory + (inputs + outputs) * lanes<T>,
           valuesOfChunks.data_ptr<T>() + chunk * entries, biasOfChunks.data_ptr<T>() + chunk * outputs});
  });
  auto total = [&](const at::Tensor &parts, at::IntArrayRef shape) {
    at::Tensor result = at::zeros(shape, parts.options());
    T *to = result.data_ptr<T>();
    const T *from = parts.const_data_ptr<T>();
    for (int64_t part = 0; part < parts.size(0); part++)
      for (int64_t index = 0; index < parts.size(1); index++) to[index] += *from++;
    return result;
  };
  if (values != nullptr) *values = total(valuesOfChunks, blocks.values.sizes());
  if (bias != nullptr) *bias = total(biasOfChunks, {outputs});
}

} // namespace

CTStatus ct_grouped_add_(CTTensor output, CTTensor input, CTTensor values, bool reorder, CTTensor bias,
                         CTTensor scales, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    auto y = borrow(output), x = borrow(input).contiguous(), c = borrow(bias), s = borrow(scales);
    const Blocks blocks(borrow(values), reorder, s, x, x.size(-1), y);
    TORCH_CHECK(y.is_contiguous(), "what is added to lies in memory with gaps");
    TORCH_CHECK(!c.defined() || (c.dim() == 1 && c.size(0) == y.size(1)), "a bias of shape ", c.sizes(),
                " does not go with ", y.size(1), " channels");
    if (c.defined()) c = c.contiguous();
    if (blocks.small({x, y, c, s}))
      return blocks.values.scalar_type() == at::kFloat ? addGrouped<float>(blocks, x, c, y)
                                                       : addGrouped<double>(blocks, x, c, y);
    auto product = at::bmm(blocks.grouped(x), blocks.values.transpose(1, 2)).transpose(0, 1).reshape(y.sizes());
    y.add_(blocks.scaled(c.defined() ? product.add(c) : product));
  });
}

CTStatus ct_grouped_backward(CTTensor gradient, CTTensor input, CTTensor values, bool reorder, CTTensor scales,
                             CTTensor inputGradient, CTTensor *valuesGradient, CTTensor *biasGradient,
                             CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    auto g = borrow(gradient).contiguous(), x = borrow(input).contiguous(), dx = borrow(inputGradient),
         s = borrow(scales);
    const Blocks blocks(borrow(values), reorder, s, x, x.size(-1), g);
    TORCH_CHECK(!dx.defined() || (dx.is_contiguous() && dx.sizes() == x.sizes()),
                "the input's gradient, to be added to, has gaps or the shape ", dx.sizes(), ", not ", x.sizes());
    at::Tensor toValues, toBias;
    at::Tensor *values = valuesGradient != nullptr ? &toValues : nullptr;
    at::Tensor *bias = biasGradient != nullptr ? &toBias : nullptr;
    if (blocks.small({x, g, dx, s})) {
      if (blocks.values.scalar_type() == at::kFloat)
        backwardGrouped<float>(blocks, g, x, dx, values, bias);
      else
        backwardGrouped<double>(blocks, g, x, dx, values, bias);
    } else {
      auto scaled = blocks.scaled(g);
      auto grid = scaled.reshape({blocks.rows, blocks.groups, blocks.outputs}).transpose(0, 1);
      if (dx.defined()) dx.add_(blocks.ungrouped(at::bmm(grid, blocks.values)));
      if (values != nullptr) toValues = at::bmm(grid.transpose(1, 2), blocks.grouped(x));
      if (bias != nullptr) toBias = scaled.sum(0);
    }
    if (values != nullptr) *valuesGradient = own(toValues);
    if (bias != nullptr) *biasGradient = own(toBias);
  });
}
