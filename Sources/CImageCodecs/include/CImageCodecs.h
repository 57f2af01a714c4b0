// Reading JPEG, PNG and WebP from memory into 8-bit RGB, over libjpeg-turbo, libpng and libwebp.
//
// Two calls: `image_codec_header` says what a file holds and how large a buffer its pixels need, so that the caller
// can refuse it before anything is allocated; `image_codec_decode` fills that buffer. Both return a status, never
// print, and never end the process. The longjmp by which libjpeg and libpng report errors stays inside.
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  IMAGE_CODEC_OK = 0,
  /// The first bytes are those of no format read here.
  IMAGE_CODEC_UNRECOGNIZED = 1,
  /// The data ends before the image does.
  IMAGE_CODEC_TRUNCATED = 2,
  /// The data contradicts its format.
  IMAGE_CODEC_CORRUPT = 3,
  /// Valid, but of a kind the codec does not read.
  IMAGE_CODEC_UNSUPPORTED = 4,
  IMAGE_CODEC_OUT_OF_MEMORY = 5,
  /// The buffer does not have the size the header asks for: a mistake of the caller.
  IMAGE_CODEC_WRONG_BUFFER = 6,
} ImageCodecStatus;

typedef enum {
  IMAGE_CODEC_JPEG = 1,
  IMAGE_CODEC_PNG = 2,
  IMAGE_CODEC_WEBP = 3,
} ImageCodecFormat;

typedef struct {
  ImageCodecFormat format;
  /// Pixels as stored, before any EXIF orientation.
  uint32_t width;
  uint32_t height;
  /// Pixels that `image_codec_decode` will write for the same `minimum_side`.
  uint32_t decoded_width;
  uint32_t decoded_height;
  /// 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha, or CMYK. A palette counts as the colours it holds.
  uint32_t channels;
  uint32_t bits_per_channel;
  bool has_alpha;
  bool is_animated;
} ImageCodecHeader;

typedef struct {
  /// The codec's own words, always terminated, empty when there is nothing to add to the status.
  char text[256];
} ImageCodecMessage;

/// Reads the header of an image. Allocates nothing that grows with the image's dimensions.
///
/// `minimum_side`: 0 for full size; otherwise a JPEG may be decoded at 1/2, 1/4 or 1/8, as long as its shorter side
/// keeps at least that many pixels. Other formats are always decoded at full size.
ImageCodecStatus image_codec_header(const uint8_t *data, size_t size, uint32_t minimum_side, ImageCodecHeader *header,
                                    ImageCodecMessage *message);

/// Decodes into `pixels`: `decoded_height` rows of `decoded_width` RGB triples without padding; `capacity` in bytes
/// must be exactly that. Alpha is composited on white, 16-bit channels keep their high byte, CMYK is read inverted, as
/// Adobe writes it, the first frame of an animation stands for it. `pixels` may be partly written after a failure.
ImageCodecStatus image_codec_decode(const uint8_t *data, size_t size, uint32_t minimum_side, uint8_t *pixels,
                                    size_t capacity, ImageCodecMessage *message);

#ifdef __cplusplus
}
#endif

#endif
