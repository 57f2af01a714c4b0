import CTorch

extension Tensor {
  /// One size may be −1, worked out from the rest.
  public func reshaped(_ shape: Int...) throws -> Tensor { try reshaped(shape) }

  public func reshaped(_ shape: [Int]) throws -> Tensor {
    try Torch.tensor("reshaped", self) { out, failure in
      shape.withSizes { ct_reshape(raw, $0, $1, out, failure) }
    }
  }

  public func permuted(_ dimensions: Int...) throws -> Tensor {
    try Torch.tensor("permuted", self) { out, failure in
      dimensions.withSizes { ct_permute(raw, $0, $1, out, failure) }
    }
  }

  public func transposed(_ first: Int = -2, _ second: Int = -1) throws -> Tensor {
    try Torch.tensor("transposed", self) { ct_transpose(raw, Int64(first), Int64(second), $0, $1) }
  }

  /// A view repeated along dimensions of size 1; −1 keeps a size.
  public func expanded(_ shape: Int...) throws -> Tensor { try expanded(shape) }

  public func expanded(_ shape: [Int]) throws -> Tensor {
    try Torch.tensor("expanded", self) { out, failure in
      shape.withSizes { ct_expand(raw, $0, $1, out, failure) }
    }
  }

  public func squeezed(_ dimension: Int) throws -> Tensor {
    try Torch.tensor("squeezed", self) { ct_squeeze(raw, Int64(dimension), $0, $1) }
  }

  public func unsqueezed(_ dimension: Int) throws -> Tensor {
    try Torch.tensor("unsqueezed", self) { ct_unsqueeze(raw, Int64(dimension), $0, $1) }
  }

  /// The slice at `index`, without that dimension.
  public func select(_ dimension: Int, _ index: Int) throws -> Tensor {
    try Torch.tensor("select", self) { ct_select(raw, Int64(dimension), Int64(index), $0, $1) }
  }

  /// The slices of `range`, a view.
  public func narrowed(_ dimension: Int, _ range: Range<Int>) throws -> Tensor {
    try Torch.tensor("narrowed", self) {
      ct_narrow(raw, Int64(dimension), Int64(range.lowerBound), Int64(range.count), $0, $1)
    }
  }

  public static func concatenated(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
    try Torch.tensor("concatenated", operands: tensors) { out, failure in
      tensors.withHandles { ct_cat($0, $1, Int64(dimension), out, failure) }
    }
  }

  public static func stacked(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
    try Torch.tensor("stacked", operands: tensors) { out, failure in
      tensors.withHandles { ct_stack($0, $1, Int64(dimension), out, failure) }
    }
  }

  /// The slices that the int64 vector `index` names.
  public func selected(_ dimension: Int, _ index: Tensor) throws -> Tensor {
    try Torch.tensor("selected", self, index) { ct_index_select(raw, Int64(dimension), index.raw, $0, $1) }
  }

  /// For each place, the element along `dimension` that `index` names.
  public func gathered(_ dimension: Int, _ index: Tensor) throws -> Tensor {
    try Torch.tensor("gathered", self, index) { ct_gather(raw, Int64(dimension), index.raw, $0, $1) }
  }

  /// A copy with `source` written where `index` says.
  public func scattered(_ dimension: Int, _ index: Tensor, _ source: Tensor) throws -> Tensor {
    try Torch.tensor("scattered", self, index, source) {
      ct_scatter(raw, Int64(dimension), index.raw, source.raw, $0, $1)
    }
  }

  public func masked(_ mask: Tensor) throws -> Tensor {
    try Torch.tensor("masked", self, mask) { ct_masked_select(raw, mask.raw, $0, $1) }
  }

  /// The places that are not zero: `[count, rank]`, int64.
  public func nonzero() throws -> Tensor { try Torch.tensor("nonzero", self) { ct_nonzero(raw, $0, $1) } }

  public func flipped(_ dimensions: Int...) throws -> Tensor {
    try Torch.tensor("flipped", self) { out, failure in
      dimensions.withSizes { ct_flip(raw, $0, $1, out, failure) }
    }
  }

  /// `[…]` of int64 to `[…, classes]` of int64.
  public func oneHot(_ classes: Int) throws -> Tensor {
    try Torch.tensor("oneHot", self) { ct_one_hot(raw, Int64(classes), $0, $1) }
  }
}
