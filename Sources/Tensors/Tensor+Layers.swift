import CTorch

extension Tensor {
  public func softmax(_ dimension: Int = -1) throws -> Tensor {
    try Torch.tensor("softmax", self) { ct_softmax(raw, Int64(dimension), $0, $1) }
  }

  public func logSoftmax(_ dimension: Int = -1) throws -> Tensor {
    try Torch.tensor("logSoftmax", self) { ct_log_softmax(raw, Int64(dimension), $0, $1) }
  }

  /// Normalizes the last dimension to mean 0 and variance 1, then scales and shifts it.
  public func layerNorm(width: Int, weight: Tensor?, bias: Tensor?, epsilon: Double) throws -> Tensor {
    try Torch.tensor("layerNorm", self, weight, bias) {
      ct_layer_norm(raw, Int64(width), weight?.raw, bias?.raw, epsilon, $0, $1)
    }
  }

  /// `softmax(Q · Kᵀ / √d + mask) · V`, of `[batch, heads, tokens, d]`.
  public static func attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil) throws -> Tensor {
    try Torch.tensor("attention", query, key, value, mask) {
      ct_attention(query.raw, key.raw, value.raw, mask?.raw, $0, $1)
    }
  }

  /// `[batch, channels, height, width]` by `weight` `[out, channels, kernel, kernel]`, without padding.
  public func convolution(_ weight: Tensor, bias: Tensor?, stride: Int) throws -> Tensor {
    try Torch.tensor("convolution", self, weight, bias) {
      ct_conv2d(raw, weight.raw, bias?.raw, Int64(stride), $0, $1)
    }
  }

  /// The mean cross-entropy, in nats, of logits `[batch, classes]` against int64 labels `[batch]`.
  public func crossEntropy(_ labels: Tensor, smoothing: Double = 0) throws -> Tensor {
    try Torch.tensor("crossEntropy", self, labels) { ct_cross_entropy(raw, labels.raw, smoothing, $0, $1) }
  }

  public enum Interpolation: Sendable { case bilinear, bicubic }

  /// `[batch, channels, height, width]` to another height and width; corners are not aligned, bicubic uses a = −0.75.
  public func resized(height: Int, width: Int, _ interpolation: Interpolation, antialias: Bool = false) throws
    -> Tensor
  {
    try Torch.tensor("resized", self) {
      ct_resize(raw, Int64(height), Int64(width), interpolation == .bicubic, antialias, $0, $1)
    }
  }

  /// The rows of this table `[entries, features]` that `index` names.
  public func embedding(_ index: Tensor) throws -> Tensor {
    try Torch.tensor("embedding", self, index) { ct_embedding(raw, index.raw, $0, $1) }
  }

  /// The input gradient of a softmax with this output.
  public func softmaxBackward(_ gradient: Tensor, dimension: Int = -1) throws -> Tensor {
    try Torch.tensor("softmaxBackward", gradient, self) {
      ct_softmax_backward(gradient.raw, raw, Int64(dimension), $0, $1)
    }
  }

  /// The input gradient of a GELU at this input.
  public func geluBackward(_ gradient: Tensor) throws -> Tensor {
    try Torch.tensor("geluBackward", gradient, self) { ct_gelu_backward(gradient.raw, raw, false, $0, $1) }
  }
}
