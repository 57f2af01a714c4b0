#include "codecs.h"

#include <stdio.h>
#include <string.h>

ImageCodecStatus fail(ImageCodecMessage *message, ImageCodecStatus status, const char *text) {
  snprintf(message->text, sizeof message->text, "%s", text);
  return status;
}

bool pixel_bytes(uint32_t width, uint32_t height, size_t channels, size_t *size) {
  size_t pixels;
  return !__builtin_mul_overflow((size_t)width, (size_t)height, &pixels) &&
         !__builtin_mul_overflow(pixels, channels, size);
}

void composite_row_on_white(const uint8_t *rgba, uint8_t *rgb, size_t width) {
  for (size_t x = 0; x < width; x++) {
    uint8_t red = rgba[4 * x], green = rgba[4 * x + 1], blue = rgba[4 * x + 2], alpha = rgba[4 * x + 3];
    rgb[3 * x] = on_white(red, alpha);
    rgb[3 * x + 1] = on_white(green, alpha);
    rgb[3 * x + 2] = on_white(blue, alpha);
  }
}

/// The format by content: names lie. 0 when none matches.
static ImageCodecFormat recognize(const uint8_t *data, size_t size) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  if (size >= 3 && data[0] == 0xFF && data[1] == 0xD8 && data[2] == 0xFF) return IMAGE_CODEC_JPEG;
  if (size >= 8 && memcmp(data, png, 8) == 0) return IMAGE_CODEC_PNG;
  if (size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0) return IMAGE_CODEC_WEBP;
  return 0;
}

ImageCodecStatus image_codec_header(const uint8_t *data, size_t size, uint32_t minimum_side, ImageCodecHeader *header,
                                    ImageCodecMessage *message) {
  memset(header, 0, sizeof *header);
  message->text[0] = 0;
  switch (recognize(data, size)) {
  case IMAGE_CODEC_JPEG: return jpeg_header(data, size, minimum_side, header, message);
  case IMAGE_CODEC_PNG: return png_header(data, size, header, message);
  case IMAGE_CODEC_WEBP: return webp_header(data, size, header, message);
  }
  return IMAGE_CODEC_UNRECOGNIZED;
}

ImageCodecStatus image_codec_decode(const uint8_t *data, size_t size, uint32_t minimum_side, uint8_t *pixels,
                                    size_t capacity, ImageCodecMessage *message) {
  message->text[0] = 0;
  switch (recognize(data, size)) {
  case IMAGE_CODEC_JPEG: return jpeg_decode(data, size, minimum_side, pixels, capacity, message);
  case IMAGE_CODEC_PNG: return png_decode(data, size, pixels, capacity, message);
  case IMAGE_CODEC_WEBP: return webp_decode(data, size, pixels, capacity, message);
  }
  return IMAGE_CODEC_UNRECOGNIZED;
}
