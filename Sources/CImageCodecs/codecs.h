// What the three codecs share. Private to this target.
#ifndef CODECS_H
#define CODECS_H

#include "CImageCodecs.h"

/// A blend of a channel with white, rounded to nearest: `(value · alpha + 255 · (255 − alpha)) / 255`.
static inline uint8_t on_white(uint8_t value, uint8_t alpha) {
  uint32_t sum = (uint32_t)value * alpha + 255u * (255u - alpha) + 128u;
  return (uint8_t)((sum + (sum >> 8)) >> 8);
}

/// Composites a row of RGBA on white into a row of RGB. The rows may be the same memory.
void composite_row_on_white(const uint8_t *rgba, uint8_t *rgb, size_t width);

ImageCodecStatus fail(ImageCodecMessage *message, ImageCodecStatus status, const char *text);

/// True, and the byte count in `size`, when `width · height · channels` fits.
bool pixel_bytes(uint32_t width, uint32_t height, size_t channels, size_t *size);

ImageCodecStatus jpeg_header(const uint8_t *data, size_t size, uint32_t minimum_side, ImageCodecHeader *header,
                             ImageCodecMessage *message);
ImageCodecStatus jpeg_decode(const uint8_t *data, size_t size, uint32_t minimum_side, uint8_t *pixels, size_t capacity,
                             ImageCodecMessage *message);
ImageCodecStatus png_header(const uint8_t *data, size_t size, ImageCodecHeader *header, ImageCodecMessage *message);
ImageCodecStatus png_decode(const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity,
                            ImageCodecMessage *message);
ImageCodecStatus webp_header(const uint8_t *data, size_t size, ImageCodecHeader *header, ImageCodecMessage *message);
ImageCodecStatus webp_decode(const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity,
                             ImageCodecMessage *message);

#endif
