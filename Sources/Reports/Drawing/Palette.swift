/// Colours that people with any kind of colour blindness can tell apart: Okabe and Ito 2008, "Color Universal Design".
///
/// Their black is a grey here, since black is the colour of axes and text.
public enum Palette {
  static let okabeIto: [RGB] = [
    RGB(0x0072B2), RGB(0xE69F00), RGB(0x009E73), RGB(0xD55E00), RGB(0xCC79A7), RGB(0x56B4E9), RGB(0xF0E442),
    RGB(0x666666),
  ]

  /// The colour of series or expert `index`, as `#rrggbb`. From the ninth on, the colours return, darkened.
  public static func color(_ index: Int) -> String {
    let index = max(0, index)
    let darkening = 0.4 * Double(index / okabeIto.count % 3) / 1.25
    return okabeIto[index % okabeIto.count].mixed(with: RGB(0x000000), darkening).hex
  }

  /// From light to dark blue; `fraction` in `0...1`. Lightness falls steadily, so that it also works in grey.
  static func ramp(_ fraction: Double) -> RGB {
    let stops = [RGB(0xF3F8FD), RGB(0x9CC9E3), RGB(0x3585BD), RGB(0x08306B)]
    let position = (fraction.isNaN ? 0 : min(max(fraction, 0), 1)) * Double(stops.count - 1)
    let stop = min(Int(position), stops.count - 2)
    return stops[stop].mixed(with: stops[stop + 1], position - Double(stop))
  }
}

struct RGB: Equatable {
  var red: Double
  var green: Double
  var blue: Double

  init(_ hex: UInt32) {
    red = Double(hex >> 16 & 0xFF)
    green = Double(hex >> 8 & 0xFF)
    blue = Double(hex & 0xFF)
  }

  func mixed(with other: RGB, _ share: Double) -> RGB {
    var mixed = self
    mixed.red += share * (other.red - red)
    mixed.green += share * (other.green - green)
    mixed.blue += share * (other.blue - blue)
    return mixed
  }

  /// Whether white text on it reads better than black.
  var isDark: Bool { 0.299 * red + 0.587 * green + 0.114 * blue < 140 }

  var hex: String {
    "#"
      + [red, green, blue].map { part in
        let byte = Int(min(max(part, 0), 255).rounded())
        return (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }.joined()
  }
}
