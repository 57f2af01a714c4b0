#include "codecs.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static ImageCodecStatus status_of(VP8StatusCode code) {
  switch (code) {
  case VP8_STATUS_OK: return IMAGE_CODEC_OK;
  case VP8_STATUS_OUT_OF_MEMORY: return IMAGE_CODEC_OUT_OF_MEMORY;
  case VP8_STATUS_NOT_ENOUGH_DATA:
  case VP8_STATUS_SUSPENDED: return IMAGE_CODEC_TRUNCATED;
  case VP8_STATUS_UNSUPPORTED_FEATURE: return IMAGE_CODEC_UNSUPPORTED;
  default: return IMAGE_CODEC_CORRUPT;
  }
}

ImageCodecStatus webp_header(const uint8_t *data, size_t size, ImageCodecHeader *header, ImageCodecMessage *message) {
  WebPBitstreamFeatures features;
  VP8StatusCode code = WebPGetFeatures(data, size, &features);
  if (code != VP8_STATUS_OK) return fail(message, status_of(code), "");
  if (features.width <= 0 || features.height <= 0) return fail(message, IMAGE_CODEC_CORRUPT, "no pixels");
  header->format = IMAGE_CODEC_WEBP;
  header->width = header->decoded_width = (uint32_t)features.width;
  header->height = header->decoded_height = (uint32_t)features.height;
  header->has_alpha = features.has_alpha;
  header->is_animated = features.has_animation;
  header->channels = features.has_alpha ? 4 : 3;
  header->bits_per_channel = 8;
  return IMAGE_CODEC_OK;
}

/// Decodes one still picture of `width` by `height` into RGBA rows `stride` bytes apart.
static ImageCodecStatus decode_rgba(const uint8_t *data, size_t size, uint8_t *rgba, size_t stride, size_t bytes) {
  WebPDecoderConfig configuration;
  if (!WebPInitDecoderConfig(&configuration)) return IMAGE_CODEC_UNSUPPORTED;
  configuration.output.colorspace = MODE_RGBA;
  configuration.output.is_external_memory = 1;
  configuration.output.u.RGBA.rgba = rgba;
  configuration.output.u.RGBA.stride = (int)stride;
  configuration.output.u.RGBA.size = bytes;
  return status_of(WebPDecode(data, size, &configuration));
}

static ImageCodecStatus decode_rgb(const uint8_t *data, size_t size, uint8_t *rgb, size_t stride, size_t bytes) {
  WebPDecoderConfig configuration;
  if (!WebPInitDecoderConfig(&configuration)) return IMAGE_CODEC_UNSUPPORTED;
  configuration.output.colorspace = MODE_RGB;
  configuration.output.is_external_memory = 1;
  configuration.output.u.RGBA.rgba = rgb;
  configuration.output.u.RGBA.stride = (int)stride;
  configuration.output.u.RGBA.size = bytes;
  return status_of(WebPDecode(data, size, &configuration));
}

/// The first frame, at its place on a transparent canvas.
static ImageCodecStatus decode_first_frame(const uint8_t *data, size_t size, uint8_t *rgba, uint32_t width,
                                           uint32_t height, size_t bytes) {
  WebPData file = {.bytes = data, .size = size};
  WebPDemuxState state;
  WebPDemuxer *demuxer = WebPDemuxPartial(&file, &state);
  if (!demuxer) return state == WEBP_DEMUX_PARSE_ERROR ? IMAGE_CODEC_CORRUPT : IMAGE_CODEC_TRUNCATED;
  ImageCodecStatus status = IMAGE_CODEC_CORRUPT;
  WebPIterator frame;
  memset(&frame, 0, sizeof frame);
  if (state != WEBP_DEMUX_DONE) {
    status = IMAGE_CODEC_TRUNCATED;
  } else if (WebPDemuxGetFrame(demuxer, 1, &frame)) {
    // The fragment's own bitstream decides what is written, so its size is compared with what the container says.
    int frame_width, frame_height;
    bool fits = frame.x_offset >= 0 && frame.y_offset >= 0 && frame.width > 0 && frame.height > 0 &&
                (uint64_t)frame.x_offset + (uint64_t)frame.width <= width &&
                (uint64_t)frame.y_offset + (uint64_t)frame.height <= height &&
                WebPGetInfo(frame.fragment.bytes, frame.fragment.size, &frame_width, &frame_height) &&
                frame_width == frame.width && frame_height == frame.height;
    if (fits) {
      size_t stride = (size_t)width * 4;
      size_t start = (size_t)frame.y_offset * stride + (size_t)frame.x_offset * 4;
      status = decode_rgba(frame.fragment.bytes, frame.fragment.size, rgba + start, stride, bytes - start);
    }
  }
  WebPDemuxReleaseIterator(&frame);
  WebPDemuxDelete(demuxer);
  return status;
}

ImageCodecStatus webp_decode(const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity,
                             ImageCodecMessage *message) {
  ImageCodecHeader header;
  ImageCodecStatus status = webp_header(data, size, &header, message);
  if (status != IMAGE_CODEC_OK) return status;
  size_t needed, rgba_bytes;
  if (!pixel_bytes(header.width, header.height, 3, &needed) || needed != capacity) {
    return fail(message, IMAGE_CODEC_WRONG_BUFFER, "");
  }
  if (!header.has_alpha && !header.is_animated) {
    return fail(message, decode_rgb(data, size, pixels, (size_t)header.width * 3, capacity), "");
  }
  if (!pixel_bytes(header.width, header.height, 4, &rgba_bytes)) return fail(message, IMAGE_CODEC_OUT_OF_MEMORY, "");
  uint8_t *rgba = calloc(rgba_bytes, 1);
  if (!rgba) return fail(message, IMAGE_CODEC_OUT_OF_MEMORY, "");
  size_t stride = (size_t)header.width * 4;
  status = header.is_animated ? decode_first_frame(data, size, rgba, header.width, header.height, rgba_bytes)
                              : decode_rgba(data, size, rgba, stride, rgba_bytes);
  if (status == IMAGE_CODEC_OK) {
    for (uint32_t y = 0; y < header.height; y++) {
      composite_row_on_white(rgba + y * stride, pixels + (size_t)y * header.width * 3, header.width);
    }
  }
  free(rgba);
  return fail(message, status, "");
}
