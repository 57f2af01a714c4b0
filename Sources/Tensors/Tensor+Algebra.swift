import CTorch

extension Tensor {
  public func matmul(_ other: Tensor) throws -> Tensor {
    try Torch.tensor("matmul", self, other) { ct_matmul(raw, other.raw, $0, $1) }
  }

  /// `beta · self + alpha · left · right`, for matrices.
  public func addingProduct(_ left: Tensor, _ right: Tensor, alpha: Double = 1, beta: Double = 1) throws -> Tensor {
    try Torch.tensor("addingProduct", self, left, right) {
      ct_addmm(raw, left.raw, right.raw, beta, alpha, $0, $1)
    }
  }

  /// `x · weightᵀ + bias`: `[…, inFeatures]` to `[…, outFeatures]`; `weight` is `[outFeatures, inFeatures]`.
  public func linear(_ weight: Tensor, _ bias: Tensor? = nil) throws -> Tensor {
    try Torch.tensor("linear", self, weight, bias) { ct_linear(raw, weight.raw, bias?.raw, $0, $1) }
  }

  public static func einsum(_ equation: String, _ tensors: Tensor...) throws -> Tensor {
    try Torch.tensor("einsum", operands: tensors) { out, failure in
      tensors.withHandles { ct_einsum(equation, $0, $1, out, failure) }
    }
  }

  /// The reduced singular value decomposition `U · diag(S) · Vᴴ`, singular values in descending order.
  public func svd() throws -> (u: Tensor, s: Tensor, vh: Tensor) {
    var s: CTTensor?
    var vh: CTTensor?
    let u = try Torch.tensor("svd", self) { ct_svd(raw, $0, &s, &vh, $1) }
    guard let s, let vh else { throw TorchError(kind: .other, operation: "svd", operands: [], message: "no result") }
    return (u, Tensor(adopting: s), Tensor(adopting: vh))
  }

  /// The reduced QR decomposition.
  public func qr() throws -> (q: Tensor, r: Tensor) {
    var r: CTTensor?
    let q = try Torch.tensor("qr", self) { ct_qr(raw, $0, &r, $1) }
    guard let r else { throw TorchError(kind: .other, operation: "qr", operands: [], message: "no result") }
    return (q, Tensor(adopting: r))
  }
}
