#include "codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

typedef struct {
  const uint8_t *data;
  size_t size;
  size_t position;
  jmp_buf escape;
  ImageCodecStatus status;
  char text[256];
} PNGSource;

static void on_error(png_structp png, png_const_charp text) {
  PNGSource *source = png_get_error_ptr(png);
  if (source->status == IMAGE_CODEC_OK) {
    // libpng has no codes, only this text for data that ends too early inside chunks that are whole.
    bool is_short = strstr(text, "Not enough image data") != NULL;
    source->status = is_short ? IMAGE_CODEC_TRUNCATED : IMAGE_CODEC_CORRUPT;
    if (strstr(text, "emory")) source->status = IMAGE_CODEC_OUT_OF_MEMORY;
    snprintf(source->text, sizeof source->text, "%s", text);
  }
  longjmp(source->escape, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_bytes(png_structp png, png_bytep destination, size_t count) {
  PNGSource *source = png_get_io_ptr(png);
  if (count > source->size - source->position) {
    source->status = IMAGE_CODEC_TRUNCATED;
    png_error(png, "");
  }
  memcpy(destination, source->data + source->position, count);
  source->position += count;
}

/// A reader over `source` without the chunks we have no use for: text and colour profiles can be compressed bombs.
static png_structp start(PNGSource *source, png_infop *info) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, source, on_error, on_warning);
  if (!png) return NULL;
  *info = png_create_info_struct(png);
  if (!*info) {
    png_destroy_read_struct(&png, NULL, NULL);
    return NULL;
  }
  png_set_read_fn(png, source, read_bytes);
  // The pixel limit is the caller's, checked between header and decoding; libpng's own would only shadow it.
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  return png;
}

ImageCodecStatus png_header(const uint8_t *data, size_t size, ImageCodecHeader *header, ImageCodecMessage *message) {
  PNGSource source = {.data = data, .size = size};
  png_infop info = NULL;
  png_structp png = start(&source, &info);
  if (!png) return fail(message, IMAGE_CODEC_OUT_OF_MEMORY, "");
  if (setjmp(source.escape)) {
    png_destroy_read_struct(&png, &info, NULL);
    return fail(message, source.status, source.text);
  }
  png_read_info(png, info);
  header->format = IMAGE_CODEC_PNG;
  header->width = header->decoded_width = png_get_image_width(png, info);
  header->height = header->decoded_height = png_get_image_height(png, info);
  header->bits_per_channel = png_get_bit_depth(png, info);
  bool has_colour = png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR;
  header->has_alpha = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) || png_get_valid(png, info, PNG_INFO_tRNS);
  header->channels = (has_colour ? 3 : 1) + (header->has_alpha ? 1 : 0);
  png_destroy_read_struct(&png, &info, NULL);
  return IMAGE_CODEC_OK;
}

ImageCodecStatus png_decode(const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity,
                            ImageCodecMessage *message) {
  PNGSource source = {.data = data, .size = size};
  png_infop info = NULL;
  png_structp png = start(&source, &info);
  if (!png) return fail(message, IMAGE_CODEC_OUT_OF_MEMORY, "");
  uint8_t *volatile rgba = NULL;  // volatile: read after a longjmp
  if (setjmp(source.escape)) {
    free(rgba);
    png_destroy_read_struct(&png, &info, NULL);
    return fail(message, source.status, source.text);
  }
  png_read_info(png, info);
  uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  size_t needed;
  if (!pixel_bytes(width, height, 3, &needed) || needed != capacity) {
    png_destroy_read_struct(&png, &info, NULL);
    return fail(message, IMAGE_CODEC_WRONG_BUFFER, "");
  }
  bool has_alpha = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) || png_get_valid(png, info, PNG_INFO_tRNS);
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  size_t channels = has_alpha ? 4 : 3, stride = (size_t)width * channels;
  if (png_get_rowbytes(png, info) != stride) png_error(png, "unexpected row size");
  // An interlaced image is refined pass by pass: with alpha all its rows are needed, otherwise one at a time will do.
  size_t rows = passes > 1 ? height : 1, bytes = 0;
  if (has_alpha) {
    if (!pixel_bytes(width, (uint32_t)rows, 4, &bytes) || !(rgba = calloc(bytes, 1))) {
      source.status = IMAGE_CODEC_OUT_OF_MEMORY;
      png_error(png, "");
    }
  } else if (passes > 1) {
    memset(pixels, 0, capacity);
  }
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t y = 0; y < height; y++) {
      uint8_t *row = pixels + (size_t)y * width * 3;
      uint8_t *target = has_alpha ? rgba + (passes > 1 ? (size_t)y * stride : 0) : row;
      png_read_row(png, target, NULL);
      if (has_alpha && pass == passes - 1) composite_row_on_white(target, row, width);
    }
  }
  png_read_end(png, NULL);
  free(rgba);
  png_destroy_read_struct(&png, &info, NULL);
  return IMAGE_CODEC_OK;
}
