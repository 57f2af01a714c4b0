#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/// A progressive file of a few kilobytes can ask for thousands of passes over the whole image. Real ones have about 10.
static const int maximum_scans = 500;

typedef struct {
  struct jpeg_error_mgr manager;  // first, so that libjpeg's pointer to it is a pointer to this
  jmp_buf escape;
  ImageCodecStatus status;
  char text[JMSG_LENGTH_MAX];
} JPEGErrors;

static void leave(j_common_ptr info, ImageCodecStatus status) {
  JPEGErrors *errors = (JPEGErrors *)info->err;
  info->err->format_message(info, errors->text);
  errors->status = status;
  longjmp(errors->escape, 1);
}

static void on_error(j_common_ptr info) {
  switch (info->err->msg_code) {
  case JERR_OUT_OF_MEMORY: leave(info, IMAGE_CODEC_OUT_OF_MEMORY);
  case JERR_INPUT_EMPTY:
  case JERR_INPUT_EOF: leave(info, IMAGE_CODEC_TRUNCATED);
  case JERR_ARITH_NOTIMPL:
  case JERR_BAD_PRECISION:
  case JERR_CONVERSION_NOTIMPL:
  case JERR_NOT_COMPILED:
  case JERR_SOF_UNSUPPORTED: leave(info, IMAGE_CODEC_UNSUPPORTED);
  default: leave(info, IMAGE_CODEC_CORRUPT);
  }
}

/// libjpeg paints what is missing grey and goes on with a warning. Damaged training data should have a name instead.
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JWRN_HIT_MARKER: leave(info, IMAGE_CODEC_TRUNCATED);
  case JWRN_HUFF_BAD_CODE:
  case JWRN_ARITH_BAD_CODE:
  case JWRN_MUST_RESYNC: leave(info, IMAGE_CODEC_CORRUPT);
  // Stray bytes between markers, an unknown JFIF revision: cameras write them, no pixel depends on them.
  default: return;
  }
}

static void stay_silent(j_common_ptr info) { (void)info; }

static void limit_scans(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (((j_decompress_ptr)info)->input_scan_number <= maximum_scans) return;
  JPEGErrors *errors = (JPEGErrors *)info->err;
  snprintf(errors->text, sizeof errors->text, "more than %d scans", maximum_scans);
  errors->status = IMAGE_CODEC_UNSUPPORTED;
  longjmp(errors->escape, 1);
}

/// Reads the header and chooses colour space and scale. Errors leave through `escape`.
static void prepare(j_decompress_ptr info, const uint8_t *data, size_t size, uint32_t minimum_side) {
  jpeg_mem_src(info, (unsigned char *)data, (unsigned long)size);
  jpeg_read_header(info, TRUE);
  bool is_cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
  info->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  uint32_t shorter = info->image_width < info->image_height ? info->image_width : info->image_height;
  info->scale_num = 1;
  info->scale_denom = 1;
  // libjpeg rounds a scaled side up, so this never gives less than asked.
  while (minimum_side > 0 && info->scale_denom < 8 && shorter / (2 * info->scale_denom) >= minimum_side) {
    info->scale_denom *= 2;
  }
  jpeg_calc_output_dimensions(info);
}

static void start(j_decompress_ptr info, JPEGErrors *errors) {
  memset(info, 0, sizeof *info);
  info->err = jpeg_std_error(&errors->manager);
  errors->manager.error_exit = on_error;
  errors->manager.emit_message = on_message;
  errors->manager.output_message = stay_silent;
}

ImageCodecStatus jpeg_header(const uint8_t *data, size_t size, uint32_t minimum_side, ImageCodecHeader *header,
                             ImageCodecMessage *message) {
  struct jpeg_decompress_struct info;
  JPEGErrors errors;
  start(&info, &errors);
  if (setjmp(errors.escape)) {
    jpeg_destroy_decompress(&info);
    return fail(message, errors.status, errors.text);
  }
  jpeg_create_decompress(&info);
  prepare(&info, data, size, minimum_side);
  header->format = IMAGE_CODEC_JPEG;
  header->width = info.image_width;
  header->height = info.image_height;
  header->decoded_width = info.output_width;
  header->decoded_height = info.output_height;
  header->channels = (uint32_t)info.num_components;
  header->bits_per_channel = (uint32_t)info.data_precision;
  jpeg_destroy_decompress(&info);
  return IMAGE_CODEC_OK;
}

/// Adobe stores CMYK inverted: 255 is no ink. Files without Adobe's marker do the same in practice, so all are read so.
static void rgb_from_inverted_cmyk(const uint8_t *cmyk, uint8_t *rgb, size_t width) {
  for (size_t x = 0; x < width; x++) {
    uint32_t light = cmyk[4 * x + 3];
    for (size_t channel = 0; channel < 3; channel++) {
      uint32_t ink = (255u - cmyk[4 * x + channel]) * light + 128u;
      rgb[3 * x + channel] = (uint8_t)(light - ((ink + (ink >> 8)) >> 8));
    }
  }
}

ImageCodecStatus jpeg_decode(const uint8_t *data, size_t size, uint32_t minimum_side, uint8_t *pixels, size_t capacity,
                             ImageCodecMessage *message) {
  struct jpeg_decompress_struct info;
  struct jpeg_progress_mgr progress = {.progress_monitor = limit_scans};
  JPEGErrors errors;
  start(&info, &errors);
  if (setjmp(errors.escape)) {
    jpeg_destroy_decompress(&info);
    return fail(message, errors.status, errors.text);
  }
  jpeg_create_decompress(&info);
  info.progress = &progress;
  prepare(&info, data, size, minimum_side);
  size_t needed;
  if (!pixel_bytes(info.output_width, info.output_height, 3, &needed) || needed != capacity) {
    jpeg_destroy_decompress(&info);
    return fail(message, IMAGE_CODEC_WRONG_BUFFER, "");
  }
  jpeg_start_decompress(&info);
  size_t stride = (size_t)info.output_width * 3;
  // libjpeg frees its pool with the decompressor, whichever way this ends.
  JSAMPARRAY cmyk = info.out_color_space == JCS_CMYK
                        ? info.mem->alloc_sarray((j_common_ptr)&info, JPOOL_IMAGE, info.output_width * 4, 1)
                        : NULL;
  while (info.output_scanline < info.output_height) {
    uint8_t *row = pixels + stride * info.output_scanline;
    if (cmyk) {
      jpeg_read_scanlines(&info, cmyk, 1);
      rgb_from_inverted_cmyk(cmyk[0], row, info.output_width);
    } else {
      jpeg_read_scanlines(&info, &row, 1);
    }
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return IMAGE_CODEC_OK;
}
