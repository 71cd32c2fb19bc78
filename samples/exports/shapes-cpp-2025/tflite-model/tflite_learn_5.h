#ifndef MODEL_TFLITE_LEARN_5_H
#define MODEL_TFLITE_LEARN_5_H

#define INCBIN_STYLE INCBIN_STYLE_SNAKE
#include "edge-impulse-sdk/third_party/incbin/incbin.h"

const size_t tflite_learn_5_arena_size = 65536;

INCBIN(incbin_tflite_learn_5, "tflite-model/tflite_learn_5.tflite");

const unsigned char *tflite_learn_5 = gincbin_tflite_learn_5_data;
unsigned int tflite_learn_5_len = gincbin_tflite_learn_5_size;

#endif // MODEL_TFLITE_LEARN_5_H
